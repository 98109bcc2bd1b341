import { RuntsError } from '../../errors.ts';
import { Refused } from '../../layers/refused.ts';
import { chooseByPlatform } from '../choose.ts';
import { type ConfigDocument, readConfig } from '../config.ts';
import { documentBytesMax, indexDepthMax, layerBytesMax } from '../limits.ts';
import { type Descriptor, type Index, type Manifest, readDocument } from '../manifest.ts';
import type { Platform } from '../source.ts';

/** A document on its way from one place to another. */
export interface Document {
  readonly descriptor: Descriptor;
  readonly bytes: Buffer;
  readonly content: Manifest | Index;
}

/** Reads the document of a descriptor, its digest checked: from a registry, or from a store. */
export type ReadDocument = (descriptor: Descriptor) => Promise<Buffer>;

/** An image's documents: `top` is what its name leads to, and comes last of all that is written. */
export interface Documents {
  readonly top: Document;
  /** All of them, each after those that it refers to. */
  readonly all: readonly Document[];
}

/** Reads a document strictly; what is wrong with it is an ERR_IMAGE of `name`. */
export function parseDocument(descriptor: Descriptor, bytes: Buffer, name: string): Document {
  const content = refusing(name, () => readDocument(bytes, descriptor.mediaType, `the manifest ${descriptor.digest}`));
  return { descriptor, bytes, content };
}

/** Follows indexes to the manifest of a platform. */
export async function documentsOf(top: Document, platform: Platform, read: ReadDocument, name: string) {
  const path = [top];
  for (let document = top; document.content.kind === 'index'; ) {
    if (path.length > indexDepthMax)
      throw refused(name, new Refused(`its indexes are more than ${indexDepthMax} deep`));
    const { manifests } = document.content;
    const descriptor = refusing(name, () => chooseByPlatform(manifests, platform));
    document = parseDocument(descriptor, await readChild(descriptor, read, name), name);
    path.push(document);
  }
  return { top, all: path.reverse() };
}

/** How many documents one image may have, for all its platforms. */
const documentsMax = 1000;

/** Every manifest that it leads to, of whichever platform. */
export async function allDocuments(top: Document, read: ReadDocument, name: string): Promise<Documents> {
  const all = new Map<string, Document>();
  const visit = async (document: Document, depth: number): Promise<void> => {
    if (depth > indexDepthMax) throw refused(name, new Refused(`its indexes are more than ${indexDepthMax} deep`));
    if (all.size > documentsMax) throw refused(name, new Refused(`it has more than ${documentsMax} manifests`));
    for (const descriptor of document.content.kind === 'index' ? document.content.manifests : []) {
      if (all.has(descriptor.digest)) continue;
      await visit(parseDocument(descriptor, await readChild(descriptor, read, name), name), depth + 1);
    }
    all.set(document.descriptor.digest, document);
  };
  await visit(top, 0);
  return { top, all: [...all.values()] };
}

async function readChild(descriptor: Descriptor, read: ReadDocument, name: string): Promise<Buffer> {
  const { digest, size } = descriptor;
  if (size > documentBytesMax) {
    throw refused(name, new Refused(`the manifest ${digest} has ${size} bytes; the limit is ${documentBytesMax}`));
  }
  const bytes = await read(descriptor);
  if (bytes.length === size) return bytes;
  throw refused(name, new Refused(`the manifest ${digest} has ${bytes.length} bytes, and should have ${size}`));
}

/** What a manifest refers to: the configuration first. Each once, and none larger than any layer may be. */
export function blobsOf(documents: readonly Document[], name: string): readonly Descriptor[] {
  const blobs = new Map<string, Descriptor>();
  for (const { content } of documents) {
    if (content.kind === 'index') continue;
    const { config, layers } = content;
    if (config.size > documentBytesMax) {
      throw refused(name, new Refused(`its configuration has ${config.size} bytes; the limit is ${documentBytesMax}`));
    }
    for (const blob of [config, ...layers]) {
      if (blob.size > layerBytesMax) {
        throw refused(name, new Refused(`a layer has ${blob.size} bytes; the limit is ${layerBytesMax}`));
      }
      const before = blobs.get(blob.digest);
      if (before !== undefined && before.size !== blob.size) {
        throw refused(name, new Refused(`the blob ${blob.digest} is given two sizes: ${before.size} and ${blob.size}`));
      }
      blobs.set(blob.digest, before ?? blob);
    }
  }
  return [...blobs.values()];
}

/** The configuration of an image, held against its manifest. */
export function parseConfig(bytes: Buffer, manifest: Manifest, name: string): ConfigDocument {
  return refusing(name, () => {
    const config = readConfig(bytes);
    if (config.diffIds.length === manifest.layers.length) return config;
    const { length } = manifest.layers;
    throw new Refused(`it has ${length} layers, but its configuration speaks of ${config.diffIds.length}`);
  });
}

function refusing<T>(name: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw error instanceof Refused ? refused(name, error) : error;
  }
}

function refused(name: string, cause: Refused): RuntsError {
  const { message, hint = 'Whoever made the image must make it anew.', unsupported } = cause;
  return new RuntsError(unsupported ? 'ERR_UNSUPPORTED' : 'ERR_IMAGE', `cannot use the image ${name}: ${message}`, {
    cause,
    hint,
  });
}
