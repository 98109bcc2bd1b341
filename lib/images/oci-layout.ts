import { Refused } from '../layers/refused.ts';
import { chooseByName, chooseByPlatform, namesOf, noPlatform, samePlatform } from './choose.ts';
import { type ConfigDocument, readConfig } from './config.ts';
import { blobPath, verified } from './digest.ts';
import { object, parseJson } from './json.ts';
import { indexDepthMax } from './limits.ts';
import { type Descriptor, type Manifest, readDocument } from './manifest.ts';
import { checkBlob, readBlob, readFile } from './read-file.ts';
import {
  type Choice,
  type ImageFiles,
  type ImageLayer,
  type ImageSource,
  type Platform,
  showPlatform,
} from './source.ts';

export const indexType = 'application/vnd.oci.image.index.v1+json';

/** Whether the files are an OCI layout: index.json is what makes it one. */
export async function isOciLayout(files: ImageFiles): Promise<boolean> {
  return (await files.size('index.json')) !== undefined && (await files.size('oci-layout')) !== undefined;
}

/** Opens the image that was chosen; every blob is verified against the digest and size that its parent gives. */
export async function openOciLayout(files: ImageFiles, choice: Choice): Promise<ImageSource> {
  await checkLayout(files);
  return openManifest(files, await findManifest(files, choice), choice.platform);
}

/** Opens the image of a manifest that was read already. */
export async function openManifest(
  files: ImageFiles,
  { descriptor, manifest }: { readonly descriptor: Descriptor; readonly manifest: Manifest },
  wanted: Platform | undefined,
): Promise<ImageSource> {
  const document = readConfig(await readBlob(files, manifest.config, 'the configuration'));
  checkConfig(document, manifest, wanted);
  const layers = await Promise.all(
    manifest.layers.map((layer, index) => openLayer(files, layer, document.diffIds[index]!)),
  );
  const { config, platform } = document;
  return { config, ...platform, digest: descriptor.digest, layers, close: () => files.close() };
}

/** Refuses a layout of another version. */
export async function checkLayout(files: ImageFiles): Promise<void> {
  const layout = object(parseJson((await readFile(files, 'oci-layout'))!, '"oci-layout"'), '"oci-layout"');
  if (layout['imageLayoutVersion'] !== '1.0.0') throw new Refused('"oci-layout" is not of version 1.0.0');
}

async function findManifest(files: ImageFiles, choice: Choice) {
  const top = readDocument((await readFile(files, 'index.json'))!, indexType, '"index.json"');
  if (top.kind !== 'index') throw new Refused('"index.json" is not an index');
  let descriptor = chooseByPlatform(chooseImage(top.manifests, choice.reference), choice.platform);
  for (let depth = 0; depth < indexDepthMax; depth++) {
    const document = readDocument(
      await readBlob(files, descriptor, 'the manifest'),
      descriptor.mediaType,
      'the manifest',
    );
    if (document.kind === 'manifest') return { descriptor, manifest: document };
    descriptor = chooseByPlatform(document.manifests, choice.platform);
  }
  throw new Refused(`its indexes are more than ${indexDepthMax} deep`);
}

/** The descriptors of the image that was asked for: one, or one for each platform. */
function chooseImage(manifests: readonly Descriptor[], reference: string | undefined): readonly Descriptor[] {
  const groups = new Map<string, Descriptor[]>();
  for (const descriptor of manifests) {
    // Siblings for several platforms share a name, or have none.
    const key = descriptor.platform === undefined ? descriptor.digest : (namesOf(descriptor)[0] ?? '');
    groups.set(key, [...(groups.get(key) ?? []), descriptor]);
  }
  // One image may be there under several names.
  const images = new Map<string, { readonly names: Set<string>; readonly image: readonly Descriptor[] }>();
  for (const group of groups.values()) {
    const distinct = new Map(
      group.map((each) => [`${each.digest} ${each.platform && showPlatform(each.platform)}`, each]),
    );
    const content = [...distinct.keys()].sort().join();
    const { names } = images.get(content) ?? { names: new Set<string>() };
    for (const name of group.flatMap(namesOf)) names.add(name);
    images.set(content, { names, image: [...distinct.values()] });
  }
  return chooseByName(
    [...images.values()].map(({ names, image }) => ({ names: [...names], image })),
    reference,
  );
}

function checkConfig({ diffIds, platform }: ConfigDocument, manifest: Manifest, wanted: Platform | undefined): void {
  if (diffIds.length !== manifest.layers.length) {
    throw new Refused(`it has ${manifest.layers.length} layers, but its configuration speaks of ${diffIds.length}`);
  }
  if (wanted !== undefined && !samePlatform(platform, wanted)) throw noPlatform(wanted, [showPlatform(platform)]);
}

async function openLayer(files: ImageFiles, layer: Descriptor, diffId: string): Promise<ImageLayer> {
  const { digest, size, mediaType } = layer;
  await checkBlob(files, layer, 'a layer');
  return { digest, diffId, mediaType, size, open: () => verified(files.open(blobPath(digest)), digest, size) };
}
