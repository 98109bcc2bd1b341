import { type ChunkPool, chunkBytes } from '../chunk-pool.ts';
import { Pace } from '../pace.ts';
import { Refused } from '../refused.ts';
import { blockBytesMax, Frame, readBlock } from './frame.ts';
import { headerBytes, readHeader } from './frame-header.ts';
import { Input } from './input.ts';

const frameMagic = 0xfd2fb528;
/** With any last four bits. */
const skippableMagic = 0x184d2a50;
/** Whoever takes chunks has a pace of their own; but so many blocks may become less than one chunk. */
const blocksAtOnce = 64;

/**
 * The content of Zstandard frames (RFC 8878), for a Node.js whose zlib has no decoder; in chunks of the pool. The chunks that
 * come in are not looked at any more when the next one is asked for.
 *
 * A few bytes may stand for hundreds of megabytes: what fills a chunk is given before more is decompressed. Checksums of
 * frames are not checked; a layer has its digest.
 */
export async function* unzstd(compressed: AsyncIterable<Buffer>, pool: ChunkPool): AsyncGenerator<Buffer> {
  const input = new Input(compressed, blockBytesMax);
  const frame = new Frame();
  const pace = new Pace(undefined);
  let blocks = 0;
  let chunk = pool.lend();
  let filled = 0;
  while (input.has(4) || (await input.fill(4))) {
    const magic = input.take(4);
    if ((magic & ~0xf) >>> 0 === skippableMagic) {
      if (!input.has(4)) await input.need(4);
      await input.skip(input.take(4));
      continue;
    }
    if (magic !== frameMagic) throw new Refused('there is other data after the end of the compressed data');
    if (!input.has(1)) await input.need(1);
    const bytes = headerBytes(input.bytes[input.at]!);
    if (!input.has(bytes)) await input.need(bytes);
    const header = readHeader(input.bytes.subarray(input.at, input.at + bytes));
    input.at += bytes;
    frame.begin(header);
    for (let isLast = false; !isLast; ) {
      if (!input.has(3)) await input.need(3);
      const word = input.take(3);
      isLast = (word & 1) === 1;
      const block = readBlock(word);
      const size = frame.inputBytes(block);
      if (!input.has(size)) await input.need(size);
      if (filled + blockBytesMax > chunkBytes) {
        yield chunk.subarray(0, filled);
        chunk = pool.lend();
        filled = 0;
      }
      filled += frame.decompress(block, input).copy(chunk, filled);
      input.at += size;
      if (++blocks % blocksAtOnce === 0 && pace.due) await pace.turn();
    }
    frame.end();
    await input.skip(header.checksumBytes);
  }
  if (filled > 0) yield chunk.subarray(0, filled);
}
