import { Decompress } from 'fzstd';
import { Refused } from './refused.ts';

/**
 * The largest window of a frame: so much of what was written has to be kept. RFC 8878 (3.1.1.1.2) wants 8 MiB of a decoder;
 * what compresses at the highest levels asks for up to 32.
 */
export const windowLogMax = 25;
const windowBytesMax = 2 ** windowLogMax;

const frameMagic = 0xfd2fb528;
/** With any last four bits. */
const skippableMagic = 0x184d2a50;
const blockBytesMax = 128 * 1024;

/**
 * The content of Zstandard frames (RFC 8878), for a Node.js whose zlib has no decoder.
 *
 * The decoder below it gets one block after the other, since it gives back all that it is handed at once: a few bytes may
 * stand for hundreds of megabytes. Checksums of frames are not checked; a layer has its digest.
 */
export async function* unzstd(compressed: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const input = new Pieces(compressed);
  while (!(await input.ended())) {
    const magic = (await input.take(4)).readUInt32LE();
    if ((magic & ~0xf) >>> 0 === skippableMagic) await input.skip((await input.take(4)).readUInt32LE());
    else if (magic === frameMagic) yield* frame(input);
    else throw new Refused('there is other data after the end of the compressed data');
  }
}

async function* frame(input: Pieces): AsyncGenerator<Buffer> {
  const { bytes: header, checksumBytes } = await readHeader(input);
  const out: Buffer[] = [];
  const decoder = new Decompress(({ buffer, byteOffset, length }) => {
    if (length > 0) out.push(Buffer.from(buffer, byteOffset, length));
  });
  for (let isLast = false, pending = [header]; !isLast; pending = []) {
    const start = await input.take(3);
    const word = start.readUIntLE(0, 3);
    isLast = (word & 1) === 1;
    pending.push(start, await input.take(contentBytes((word >> 1) & 3, word >> 3)));
    if (isLast) pending.push(await input.take(checksumBytes));
    decode(decoder, Buffer.concat(pending), isLast);
    yield* out.splice(0);
  }
}

function decode(decoder: Decompress, bytes: Buffer, isLast: boolean): void {
  try {
    decoder.push(bytes, isLast);
  } catch (error) {
    throw damaged((error as Error).message);
  }
}

/** Of a block, by its type: raw, one byte over and over, compressed. */
function contentBytes(type: number, size: number): number {
  if (type === 3 || size > blockBytesMax) throw damaged('a block is of no known kind, or too large');
  return type === 1 ? 1 : size;
}

/** The header of a frame (RFC 8878, 3.1.1.1), looked at for what the frame would cost. */
async function readHeader(input: Pieces): Promise<{ readonly bytes: Buffer; readonly checksumBytes: number }> {
  const magic = Buffer.alloc(4);
  magic.writeUInt32LE(frameMagic);
  const descriptor = await input.take(1);
  const flags = descriptor.readUInt8();
  const isSingleSegment = (flags & 0x20) !== 0;
  const windowDescriptor = await input.take(isSingleSegment ? 0 : 1);
  const dictionary = await input.take([0, 1, 2, 4][flags & 3] as number);
  const size = await input.take([isSingleSegment ? 1 : 0, 2, 4, 8][flags >> 6] as number);
  if ((flags & 8) !== 0) throw damaged('the header of a frame has a reserved bit');
  if (dictionary.some((byte) => byte !== 0)) throw new Refused('its frames want a dictionary, which an image has not');
  const window = isSingleSegment ? contentSize(size) : windowSize(windowDescriptor.readUInt8());
  if (window > windowBytesMax) {
    const hint = 'Compress it at a lower level, without --long.';
    throw new Refused(`it wants ${window} bytes kept to be decompressed; ${windowBytesMax} are allowed`, { hint });
  }
  return {
    bytes: Buffer.concat([magic, descriptor, windowDescriptor, dictionary, size]),
    checksumBytes: (flags & 4) !== 0 ? 4 : 0,
  };
}

function windowSize(descriptor: number): number {
  const base = 2 ** (10 + (descriptor >> 3));
  return base + (base / 8) * (descriptor & 7);
}

function contentSize(field: Buffer): number {
  if (field.length === 8) return Number(field.readBigUInt64LE());
  return field.readUIntLE(0, field.length) + (field.length === 2 ? 256 : 0);
}

const damaged = (why: string): Refused => new Refused(`the compressed data is damaged (${why})`);

/** A stream, of which so many bytes are taken at a time. */
class Pieces {
  readonly #source: AsyncIterator<Buffer>;
  #rest: Buffer = Buffer.alloc(0);

  constructor(source: AsyncIterable<Buffer>) {
    this.#source = source[Symbol.asyncIterator]();
  }

  async ended(): Promise<boolean> {
    while (this.#rest.length === 0) {
      const { done, value } = await this.#source.next();
      if (done === true) return true;
      this.#rest = value;
    }
    return false;
  }

  async take(count: number): Promise<Buffer> {
    const taken: Buffer[] = [];
    for (let missing = count; missing > 0; missing -= taken.at(-1)!.length) taken.push(await this.#some(missing));
    return taken.length === 1 ? (taken[0] as Buffer) : Buffer.concat(taken);
  }

  async skip(count: number): Promise<void> {
    for (let missing = count; missing > 0; ) missing -= (await this.#some(missing)).length;
  }

  async #some(countMax: number): Promise<Buffer> {
    if (await this.ended()) throw new Refused('the compressed data is truncated');
    const some = this.#rest.subarray(0, countMax);
    this.#rest = this.#rest.subarray(some.length);
    return some;
  }
}
