import { Refused } from '../layers/refused.ts';
import type { Descriptor } from './manifest.ts';
import { type Platform, showPlatform } from './source.ts';

/** A name as people write it: `docker.io/library/debian` and `debian` and `debian:latest` are one. */
function familiar(reference: string): string {
  const short = reference.replace(/^(?:index\.)?docker\.io\//, '').replace(/^library\/(?=[^/]+$)/, '');
  return short.includes('@') || /:[^/]*$/.test(short) ? short : `${short}:latest`;
}

/** Whether what was asked for is one of these names of an image; a layout's names may be tags alone. */
export function isNamed(reference: string, names: readonly string[]): boolean {
  return names.some((name) => name === reference || familiar(name) === familiar(reference));
}

/** Takes the one of several images that was asked for; each has its names. */
export function chooseByName<T>(
  images: readonly { readonly names: readonly string[]; readonly image: T }[],
  reference: string | undefined,
): T {
  if (images.length === 0) throw new Refused('there is no image in it');
  const found = reference === undefined ? images : images.filter(({ names }) => isNamed(reference, names));
  const [first] = found;
  if (first !== undefined && found.length === 1) return first.image;
  const names = images.flatMap((each) => (each.names.length === 0 ? ['(without a name)'] : each.names));
  const hint = `It has: ${names.slice(0, 20).join(', ')}${names.length > 20 ? ', …' : ''}.`;
  if (reference !== undefined && first === undefined) {
    throw new Refused(`there is no image named "${reference}" in it`, { hint });
  }
  throw new Refused(`there are ${found.length} images in it; say which by its name`, { hint });
}

/** The names that the annotations of a descriptor give an image: Docker's whole one, or the OCI layout's tag. */
export function namesOf({ annotations }: Descriptor): readonly string[] {
  const keys = ['io.containerd.image.name', 'org.opencontainers.image.ref.name'];
  return keys.map((key) => annotations[key]).filter((name): name is string => typeof name === 'string');
}

/** Takes the manifest of this platform; one alone that names no platform is taken as it is. */
export function chooseByPlatform(manifests: readonly Descriptor[], platform: Platform): Descriptor {
  const [only] = manifests;
  if (only !== undefined && manifests.length === 1 && only.platform === undefined) return only;
  const found = bestVariant(
    manifests.filter((each) => each.platform !== undefined && samePlatform(each.platform, platform)),
    platform,
  );
  if (found !== undefined) return found;
  const names = manifests.flatMap((each) => (each.platform === undefined ? [] : [showPlatform(each.platform)]));
  throw noPlatform(
    platform,
    [...new Set(names)].filter((name) => name !== 'unknown/unknown'),
  );
}

/** What a platform that names no variant means. */
const usualVariant: Readonly<Record<string, number>> = { amd64: 1, arm: 7, arm64: 8 };

function variantOf({ architecture, variant }: Platform): number {
  const number = /^v?(\d{1,3})/.exec(variant ?? '')?.[1];
  return number === undefined ? (usualVariant[architecture] ?? 0) : Number(number);
}

/** The nearest variant that a machine of the wanted one runs: itself, or else the highest below it. */
function bestVariant(candidates: readonly Descriptor[], platform: Platform): Descriptor | undefined {
  const wanted = variantOf(platform);
  const ranked = candidates.map((each) => ({ each, rank: variantOf(each.platform ?? platform) }));
  const [best] = ranked.filter(({ rank }) => rank <= wanted).sort((a, b) => b.rank - a.rank);
  if (best !== undefined) return best.each;
  // Whoever asks for no variant takes what there is.
  return platform.variant === undefined ? ranked.sort((a, b) => a.rank - b.rank)[0]?.each : undefined;
}

/** The same but for the variant. */
export function samePlatform(a: Platform, b: Platform): boolean {
  return a.os === b.os && a.architecture === b.architecture;
}

export function noPlatform(platform: Platform, available: readonly string[]): Refused {
  const hint = `It is for ${available.length === 0 ? 'no platform' : available.slice(0, 20).join(', ')}.`;
  return new Refused(`there is no image for ${showPlatform(platform)} in it`, { hint });
}
