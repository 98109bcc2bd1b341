import { once } from 'node:events';
import type { Readable, Transform } from 'node:stream';
import zlib from 'node:zlib';
import { Refused } from './refused.ts';

/** Small enough that hashing one chunk does not hold the event loop, large enough that chunks cost nothing. */
export const chunkBytes = 256 * 1024;

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

/**
 * The uncompressed bytes of a stream, whatever it is compressed with; destroys the stream when it is left early.
 *
 * The stream is read to its very end, so that a check of its digest at the end has been made when this returns.
 */
export async function* uncompressed(raw: Readable, onBytes: OnBytes = ignore): AsyncGenerator<Buffer> {
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
    yield* compression === 'none' ? plain(raw, onBytes) : decompressed(raw, decoder(compression), onBytes);
  } finally {
    raw.destroy();
  }
}

async function* plain(raw: Readable, onBytes: OnBytes): AsyncGenerator<Buffer> {
  for await (const chunk of raw as AsyncIterable<Buffer>) {
    onBytes(chunk.length);
    yield chunk;
  }
}

async function* decompressed(raw: Readable, through: Transform, onBytes: OnBytes): AsyncGenerator<Buffer> {
  raw.on('data', (chunk: Buffer) => onBytes(chunk.length));
  raw.on('error', (error) => through.destroy(error));
  raw.on('close', () => {
    if (!raw.readableEnded) through.destroy(new Refused('the compressed data ends early'));
  });
  try {
    for await (const chunk of raw.pipe(through)) yield chunk as Buffer;
  } catch (error) {
    throw explained(error);
  } finally {
    through.destroy();
  }
  // Node drops what follows the end of a compressed stream; what is dropped would be neither seen nor verified.
  if (!raw.readableEnded) throw new Refused('there is other data after the end of the compressed data');
}

function explained(error: unknown): unknown {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'Z_BUF_ERROR') return new Refused('the compressed data is truncated');
  if (typeof code === 'string' && /^(?:Z_|ZSTD_)/.test(code)) {
    return new Refused(`the compressed data is damaged (${message})`);
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

type DecoderFactory = (options: { chunkSize: number }) => Transform;

function decoder(compression: Exclude<Compression, 'none'>): Transform {
  // Node has zstd from 22.15 on.
  const { createZstdDecompress } = zlib as { createZstdDecompress?: DecoderFactory };
  const factories: Record<typeof compression, DecoderFactory | undefined> = {
    gzip: zlib.createGunzip,
    zstd: createZstdDecompress,
    bzip2: undefined,
    xz: undefined,
  };
  const factory = factories[compression];
  if (factory !== undefined) return factory({ chunkSize: chunkBytes });
  const hint =
    compression === 'zstd'
      ? 'Use Node.js 22.15 or later, or make the image with gzip layers.'
      : 'Compress with gzip, or not at all.';
  throw new Refused(`it is compressed with ${compression}, which this Node.js cannot read`, {
    hint,
    unsupported: true,
  });
}
