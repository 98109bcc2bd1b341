import { Refused } from '../layers/refused.ts';
import { chooseByName, noPlatform, samePlatform } from './choose.ts';
import { readConfig } from './config.ts';
import { digestOf, wrongDigest } from './digest.ts';
import { array, object, optional, parseJson, string } from './json.ts';
import { layersMax, manifestsMax } from './limits.ts';
import { readFile } from './read-file.ts';
import { type Choice, type ImageFiles, type ImageLayer, type ImageSource, showPlatform } from './source.ts';

/** One image of the list in manifest.json. */
export interface SavedImage {
  /** Name of the file. */
  readonly config: string;
  readonly tags: readonly string[];
  readonly layers: readonly string[];
}

const layerType = 'application/vnd.docker.image.rootfs.diff.tar';

/** Whether the files are what `docker save` wrote before it wrote an OCI layout too. */
export async function isDockerArchive(files: ImageFiles): Promise<boolean> {
  return (await files.size('manifest.json')) !== undefined;
}

/**
 * Opens the image that was chosen.
 *
 * Nothing in this form has a digest but its configuration, by its name, and the layers by the configuration's
 * `diff_ids`: those are checked when the layers are unpacked.
 */
export async function openDockerArchive(files: ImageFiles, choice: Choice): Promise<ImageSource> {
  const images = readDockerManifest((await readFile(files, 'manifest.json'))!);
  const image = chooseByName(
    images.map((each) => ({ names: each.tags, image: each })),
    choice.reference,
  );
  const { bytes, digest } = await readVerifiedConfig(files, image.config);
  const { config, platform, diffIds } = readConfig(bytes);
  if (diffIds.length !== image.layers.length) {
    throw new Refused(`it has ${image.layers.length} layers, but its configuration speaks of ${diffIds.length}`);
  }
  if (!samePlatform(platform, choice.platform)) throw noPlatform(choice.platform, [showPlatform(platform)]);
  const layers = await Promise.all(image.layers.map((name, index) => openLayer(files, name, diffIds[index]!)));
  return { config, ...platform, digest, layers, close: () => files.close() };
}

/** The list of images of a docker-archive. */
export function readDockerManifest(bytes: Buffer): readonly SavedImage[] {
  const what = '"manifest.json"';
  return array(parseJson(bytes, what), what, manifestsMax).map((item, index) => {
    const where = `${what}[${index}]`;
    const image = object(item, where);
    return {
      config: string(image['Config'], `${where}.Config`),
      tags: optional(image['RepoTags'], `${where}.RepoTags`, (value, at) => strings(value, at, manifestsMax)) ?? [],
      layers: optional(image['Layers'], `${where}.Layers`, (value, at) => strings(value, at, layersMax)) ?? [],
    };
  });
}

function strings(value: unknown, what: string, max: number): readonly string[] {
  return array(value, what, max).map((item, index) => string(item, `${what}[${index}]`));
}

/** A configuration, which its name often has the digest of. */
export async function readVerifiedConfig(files: ImageFiles, name: string): Promise<{ bytes: Buffer; digest: string }> {
  const bytes = await readFile(files, name);
  if (bytes === undefined) throw new Refused(`the configuration "${name}" is not in it`);
  const digest = digestOf(bytes);
  const named = /(?:^|\/)([0-9a-f]{64})(?:\.json)?$/.exec(name)?.[1];
  if (named !== undefined && digest !== `sha256:${named}`) throw wrongDigest(`the configuration "${name}"`, digest);
  return { bytes, digest };
}

async function openLayer(files: ImageFiles, name: string, diffId: string): Promise<ImageLayer> {
  const size = await files.size(name);
  if (size === undefined) throw new Refused(`the layer "${name}" is not in it`);
  return { digest: diffId, diffId, mediaType: layerType, size, open: () => files.open(name) };
}
