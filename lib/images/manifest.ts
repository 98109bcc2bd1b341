import { Refused } from '../layers/refused.ts';
import { checkDigest, shortJson } from './digest.ts';
import { array, type JsonObject, object, optional, parseJson, size, string, wrongType } from './json.ts';
import { layersMax, manifestsMax } from './limits.ts';
import type { Platform } from './source.ts';

/** What a document says of a blob: its type, and by digest and size exactly which bytes. */
export interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly platform: Platform | undefined;
  readonly annotations: Readonly<Record<string, unknown>>;
}

export interface Manifest {
  readonly kind: 'manifest';
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
}

export interface Index {
  readonly kind: 'index';
  readonly manifests: readonly Descriptor[];
}

type DocumentKind = 'manifest' | 'index';

const documentTypes: Record<string, DocumentKind> = {
  'application/vnd.oci.image.manifest.v1+json': 'manifest',
  'application/vnd.docker.distribution.manifest.v2+json': 'manifest',
  'application/vnd.oci.image.index.v1+json': 'index',
  'application/vnd.docker.distribution.manifest.list.v2+json': 'index',
};

/** What is asked for where any document of an image will do. */
export const documentTypeNames: readonly string[] = Object.keys(documentTypes);

const configTypes: readonly string[] = [
  'application/vnd.oci.image.config.v1+json',
  'application/vnd.docker.container.image.v1+json',
];

const layerTypes: readonly string[] = [
  'application/vnd.oci.image.layer.v1.tar',
  'application/vnd.oci.image.layer.v1.tar+gzip',
  'application/vnd.oci.image.layer.v1.tar+zstd',
  'application/vnd.docker.image.rootfs.diff.tar',
  'application/vnd.docker.image.rootfs.diff.tar.gzip',
  'application/vnd.docker.image.rootfs.diff.tar.zstd',
];

const foreignType = /nondistributable|rootfs\.foreign/;

/** What a document of this media type is; refuses types that are no image. */
export function documentKind(mediaType: string): DocumentKind {
  if (Object.hasOwn(documentTypes, mediaType)) return documentTypes[mediaType]!;
  throw new Refused(`a manifest has the unknown media type ${shortJson(mediaType)}`);
}

/** Reads a manifest or index that a descriptor of `mediaType` points to; `what` names it in messages. */
export function readDocument(bytes: Buffer, mediaType: string, what: string): Manifest | Index {
  const document = object(parseJson(bytes, what), what);
  checkOneKind(document, what);
  if (document['schemaVersion'] !== 2) throw wrongType(document['schemaVersion'], `${what}: schemaVersion`, '2');
  const own = optional(document['mediaType'], `${what}: mediaType`, string);
  if (own !== undefined && own !== mediaType) {
    throw new Refused(`${what} says that it is ${shortJson(own)}, but what points to it says ${shortJson(mediaType)}`);
  }
  return documentKind(mediaType) === 'index' ? readIndex(document, what) : readManifest(document, what);
}

/** CVE-2021-41190: one document, with one digest, that is an index to one program and an image to another. */
function checkOneKind(document: JsonObject, what: string): void {
  const isIndex = document['manifests'] !== undefined;
  const isManifest = ['config', 'layers', 'fsLayers'].some((key) => document[key] !== undefined);
  if (isIndex && isManifest) throw new Refused(`${what} has both "manifests" and "layers": it is made to deceive`);
}

function readIndex(document: JsonObject, what: string): Index {
  const manifests = array(document['manifests'], `${what}: manifests`, manifestsMax);
  return { kind: 'index', manifests: manifests.map((item, i) => readDescriptor(item, `${what}: manifests[${i}]`)) };
}

function readManifest(document: JsonObject, what: string): Manifest {
  const config = readDescriptor(document['config'], `${what}: config`);
  if (!configTypes.includes(config.mediaType)) {
    const hint = 'It may be an artifact (a chart, a signature, a model) and no image of a container.';
    throw new Refused(`${what}: the configuration has the unknown media type ${shortJson(config.mediaType)}`, { hint });
  }
  const layers = array(document['layers'], `${what}: layers`, layersMax).map((item, i) =>
    readDescriptor(item, `${what}: layers[${i}]`),
  );
  for (const layer of layers) checkLayerType(layer.mediaType, what);
  return { kind: 'manifest', config, layers };
}

function checkLayerType(mediaType: string, what: string): void {
  if (layerTypes.includes(mediaType)) return;
  if (foreignType.test(mediaType)) {
    const hint = 'Its maker wants it fetched from elsewhere (images of Windows do); such layers are not supported.';
    throw new Refused(`${what} has a layer that is not in it (${shortJson(mediaType)})`, { hint });
  }
  throw new Refused(`${what} has a layer of the unknown media type ${shortJson(mediaType)}`);
}

function readDescriptor(value: unknown, what: string): Descriptor {
  const descriptor = object(value, what);
  return {
    mediaType: string(descriptor['mediaType'], `${what}.mediaType`),
    digest: checkDigest(descriptor['digest'], `${what}.digest`),
    size: size(descriptor['size'], `${what}.size`),
    platform: optional(descriptor['platform'], `${what}.platform`, readPlatform),
    annotations: optional(descriptor['annotations'], `${what}.annotations`, object) ?? {},
  };
}

function readPlatform(value: unknown, what: string): Platform {
  const platform = object(value, what);
  const variant = optional(platform['variant'], `${what}.variant`, string);
  return {
    os: string(platform['os'], `${what}.os`),
    architecture: string(platform['architecture'], what),
    ...(variant !== undefined && variant !== '' && { variant }),
  };
}
