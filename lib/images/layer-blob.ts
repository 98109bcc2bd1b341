import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import { type Compression, compressionOf, magicBytes, uncompressed } from '../layers/decompress.ts';
import { Refused } from '../layers/refused.ts';
import { TarReader } from '../layers/tar.ts';
import type { BlobId, ImageStore } from './store/store.ts';

/** A layer in the store. */
export interface LayerBlob extends BlobId {
  readonly mediaType: string;
  readonly diffId: string;
}

const plain = 'application/vnd.oci.image.layer.v1.tar';
const types: Partial<Record<Compression, string>> = { none: plain, gzip: `${plain}+gzip`, zstd: `${plain}+zstd` };

/** The media type of a layer by its first bytes; a manifest has no word for other compressions. */
export function layerType(start: Buffer): string {
  const compression = compressionOf(start);
  const type = types[compression];
  if (type !== undefined) return type;
  throw new Refused(`a layer is compressed with ${compression}, for which a manifest has no word`, {
    hint: 'Compress with gzip or zstd, or not at all.',
    unsupported: true,
  });
}

/** Stores a stream as a layer, as it is, once it is known to be a tar archive. The caller holds a lease. */
export async function storeLayer(store: ImageStore, stream: Readable, signal?: AbortSignal): Promise<LayerBlob> {
  const ingest = await store.ingest({ algorithm: 'sha256' }, { signal });
  try {
    let start: Buffer = Buffer.alloc(0);
    for await (const chunk of stream as AsyncIterable<Uint8Array>) {
      signal?.throwIfAborted();
      if (start.length < magicBytes) start = Buffer.concat([start, chunk.subarray(0, magicBytes)]);
      await ingest.write(chunk);
    }
    const mediaType = layerType(start);
    const blob = await ingest.commit();
    return { ...blob, mediaType, diffId: await diffIdOf(store.open(blob), signal) };
  } finally {
    await ingest.close();
  }
}

/** The digest of the tar archive in a stream that may be compressed; refuses what is none. */
export async function diffIdOf(stream: Readable, signal?: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  const reader = new TarReader();
  let skip = 0;
  const chunks = uncompressed(stream);
  for await (const chunk of chunks) {
    signal?.throwIfAborted();
    hash.update(chunk);
    const skipped = Math.min(skip, chunk.length);
    skip -= skipped;
    reader.feed(chunk.subarray(skipped));
    for (let event = reader.next(); event !== undefined; event = reader.next()) {
      if (event.kind === 'entry') skip = reader.skip();
    }
    chunks.giveBack(chunk);
  }
  if (skip > 0) throw new Refused('the tar archive is truncated');
  reader.finish();
  return `sha256:${hash.digest('hex')}`;
}
