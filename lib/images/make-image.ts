import { Refused } from '../layers/refused.ts';
import type { ConfigDocument, HistoryEntry } from './config.ts';
import type { JsonObject } from './json.ts';
import { layersMax } from './limits.ts';
import type { Descriptor } from './manifest.ts';
import type { Platform } from './source.ts';
import type { BlobId, ImageStore } from './store/store.ts';

const oci = 'application/vnd.oci.image';
export const manifestType = `${oci}.manifest.v1+json`;
export const configType = `${oci}.config.v1+json`;

/** A layer as a manifest names it. */
export interface ManifestLayer extends BlobId {
  readonly mediaType: string;
}

/** What a configuration of ours says. */
export interface NewConfig {
  readonly platform: Platform;
  readonly created: string;
  readonly author?: string | undefined;
  readonly config: JsonObject;
  readonly diffIds: readonly string[];
  readonly history: readonly HistoryEntry[];
}

/** A configuration document; what `base` says that we know nothing of stays. */
export function configBytes(fields: NewConfig, base?: ConfigDocument): Buffer {
  const { platform, created, author, config, diffIds, history } = fields;
  return Buffer.from(
    JSON.stringify({
      ...base?.raw,
      created,
      author,
      os: platform.os,
      architecture: platform.architecture,
      variant: platform.variant,
      config,
      rootfs: { type: 'layers', diff_ids: diffIds },
      history,
    }),
  );
}

/** Stores the two documents that make an image of layers that are stored; it has no name yet. */
export async function storeImage(
  store: ImageStore,
  config: Uint8Array,
  layers: readonly ManifestLayer[],
): Promise<{ readonly id: string; readonly target: Descriptor }> {
  if (layers.length > layersMax) throw new Refused(`an image has at most ${layersMax} layers`);
  const stored = await store.put(config, configType);
  const manifest = {
    schemaVersion: 2,
    mediaType: manifestType,
    config: pick(stored),
    layers: layers.map(pick),
  };
  const target = await store.put(Buffer.from(JSON.stringify(manifest)), manifestType);
  return { id: stored.digest, target };
}

/** Without what is not to be in a document. */
const pick = ({ mediaType, digest, size }: ManifestLayer): ManifestLayer => ({ mediaType, digest, size });

const ociTypes: Readonly<Record<string, string>> = {
  'application/vnd.docker.image.rootfs.diff.tar': `${oci}.layer.v1.tar`,
  'application/vnd.docker.image.rootfs.diff.tar.gzip': `${oci}.layer.v1.tar+gzip`,
  'application/vnd.docker.image.rootfs.diff.tar.zstd': `${oci}.layer.v1.tar+zstd`,
};

/** A layer of another image, with the type that OCI has for it. */
export function ociLayer(layer: Descriptor): ManifestLayer {
  const mediaType = Object.hasOwn(ociTypes, layer.mediaType) ? ociTypes[layer.mediaType]! : layer.mediaType;
  return { ...layer, mediaType };
}
