import { once } from 'node:events';
import type { Readable, Transform } from 'node:stream';
import zlib from 'node:zlib';
import { ChunkPool, chunkBytes } from './chunk-pool.ts';
import { FileChunks } from './file-chunks.ts';
import { type SwellLimits, swellLimits } from './limits.ts';
import { damaged, Refused } from './refused.ts';
import { windowLogMax } from './zstd/frame-header.ts';
import { unzstd } from './zstd/unzstd.ts';

export type Compression = 'none' | 'gzip' | 'zstd' | 'bzip2' | 'xz';

const magics: readonly (readonly [Compression, readonly number[]])[] = [
  ['gzip', [0x1f, 0x8b]],
  ['zstd', [0x28, 0xb5, 0x2f, 0xfd]],
  ['bzip2', [0x42, 0x5a, 0x68]],
  ['xz', [0xfd, 0x37, 0x7a, 0x58]],
];

/** How many bytes `compressionOf` wants to see. */
export const magicBytes = 4;

/** Tells by the first bytes, as Docker does: media types and file names are often wrong about it. */
export function compressionOf(start: Buffer): Compression {
  const found = magics.find(([, magic]) => magic.every((byte, index) => start[index] === byte));
  return found === undefined ? 'none' : found[0];
}

/** Hears how many bytes were taken of the stream as it is. */
export type OnBytes = (bytes: number) => void;
const ignore: OnBytes = () => {};

/** Chunks of bytes whose memory is used again, some of them, once they are given back. */
export interface Uncompressed extends AsyncIterable<Buffer> {
  /** Takes a chunk, or a part of it, that nobody will look at any more. */
  giveBack(chunk: Buffer): void;
}

/**
 * The uncompressed bytes of a stream, whatever it is compressed with; destroys the stream when it is left early.
 *
 * The stream is read to its very end, so that a check of its digest at the end has been made when this returns. Data that is
 * compressed beyond all reason is refused.
 */
export function uncompressed(
  raw: Readable,
  onBytes: OnBytes = ignore,
  limits: SwellLimits = swellLimits,
): Uncompressed {
  const pool = raw instanceof FileChunks ? raw.pool : new ChunkPool();
  const chunks = read(raw, pool, onBytes, limits);
  return { [Symbol.asyncIterator]: () => chunks, giveBack: (chunk) => pool.giveBack(chunk) };
}

async function* read(raw: Readable, pool: ChunkPool, onBytes: OnBytes, limits: SwellLimits): AsyncGenerator<Buffer> {
  let taken = 0;
  const count: OnBytes = (bytes) => {
    taken += bytes;
    onBytes(bytes);
  };
  // An error may come while nobody waits for it; it stays in `errored`, where whoever reads next finds it.
  raw.on('error', () => {});
  try {
    const start = await peek(raw);
    const compression = compressionOf(start);
    if (raw.readableEnded) {
      if (compression !== 'none') throw new Refused('the compressed data is truncated');
      yield start;
      return;
    }
    if (compression === 'none') {
      yield* plain(raw, onBytes);
      return;
    }
    const isOurs = compression === 'zstd' && !hasZstd;
    const chunks = isOurs
      ? unzstd(inTurn(raw, pool, count), pool)
      : decompressed(raw, decoder(compression), pool, count);
    yield* unswollen(chunks, () => taken, limits);
  } finally {
    raw.destroy();
  }
}

async function* unswollen(
  chunks: AsyncIterable<Buffer>,
  taken: () => number,
  { bytes, ratio }: SwellLimits,
): AsyncGenerator<Buffer> {
  let given = 0;
  for await (const chunk of chunks) {
    given += chunk.length;
    if (given > bytes && given > taken() * ratio) {
      throw new Refused(`its compressed data becomes more than ${bytes} bytes and ${ratio} times as long`, {
        hint: 'Such files are made to fill disks. If you trust it, use it uncompressed.',
      });
    }
    yield chunk;
  }
}

async function* plain(raw: Readable, onBytes: OnBytes): AsyncGenerator<Buffer> {
  for await (const chunk of raw as AsyncIterable<Buffer>) {
    onBytes(chunk.length);
    yield chunk;
  }
}

/** For whoever looks at no chunk any more when the next one is asked for. */
async function* inTurn(raw: Readable, pool: ChunkPool, onBytes: OnBytes): AsyncGenerator<Buffer> {
  for await (const chunk of plain(raw, onBytes)) {
    yield chunk;
    pool.giveBack(chunk);
  }
}

async function* decompressed(
  raw: Readable,
  through: Transform,
  pool: ChunkPool,
  onBytes: OnBytes,
): AsyncGenerator<Buffer> {
  feed(raw, through, pool, onBytes).catch((error: unknown) => through.destroy(error as Error));
  try {
    for await (const chunk of through) yield pool.adopt(chunk as Buffer);
  } catch (error) {
    throw explained(error);
  } finally {
    through.destroy();
  }
  // Node drops what follows the end of a compressed stream; what is dropped would be neither seen nor verified.
  if (!raw.readableEnded) throw new Refused('there is other data after the end of the compressed data');
}

/** By hand, for a pipe does not say when a chunk is no longer looked at. */
async function feed(raw: Readable, through: Transform, pool: ChunkPool, onBytes: OnBytes): Promise<void> {
  for await (const chunk of inTurn(raw, pool, onBytes)) {
    await new Promise<void>((resolve, reject) => {
      through.write(chunk, (error) => (error ? reject(error) : resolve()));
    });
  }
  through.end();
}

function explained(error: unknown): unknown {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'ERR_STREAM_PREMATURE_CLOSE') return new Refused('the compressed data ends early');
  if (code === 'Z_BUF_ERROR') return new Refused('the compressed data is truncated');
  if (typeof code === 'string' && /^(?:Z_|ZSTD_)/.test(code)) {
    return damaged(message);
  }
  return error;
}

/** The first bytes, which stay in the stream to be read again, unless they are all there is. */
async function peek(raw: Readable): Promise<Buffer> {
  let start: Buffer = Buffer.alloc(0);
  while (start.length < magicBytes && !raw.readableEnded) {
    const more: Buffer | null = raw.read();
    if (more !== null) start = start.length === 0 ? more : Buffer.concat([start, more]);
    else if (raw.errored !== null) throw raw.errored;
    else if (raw.destroyed) throw new Refused('the data ends early');
    else await Promise.race([once(raw, 'readable'), once(raw, 'end')]);
  }
  if (start.length > 0 && !raw.readableEnded) raw.unshift(start);
  return start;
}

type DecoderFactory = (options: { chunkSize: number; params?: Record<number, number> }) => Transform;

/** Node has zstd from 22.15 on. */
const { createZstdDecompress, constants } = zlib as typeof zlib & { createZstdDecompress?: DecoderFactory };
const hasZstd = createZstdDecompress !== undefined;

function decoder(compression: Exclude<Compression, 'none'>): Transform {
  if (compression === 'gzip') return zlib.createGunzip({ chunkSize: chunkBytes });
  if (compression === 'zstd' && createZstdDecompress !== undefined) {
    const { ZSTD_d_windowLogMax } = constants as unknown as { ZSTD_d_windowLogMax: number };
    return createZstdDecompress({ chunkSize: chunkBytes, params: { [ZSTD_d_windowLogMax]: windowLogMax } });
  }
  throw new Refused(`it is compressed with ${compression}, which is not read`, {
    hint: 'Compress with gzip or zstd, or not at all.',
    unsupported: true,
  });
}
