import type { Readable } from 'node:stream';
import { RuntsError } from '../../errors.ts';
import type { BlobId } from '../store/ingest.ts';
import { type Answer, stalled } from './exchange.ts';
import { isHtml, Transient, wrongAnswer } from './failure.ts';
import type { Timing } from './timing.ts';

interface BlobBytesOptions {
  readonly asked: string;
  readonly timing: Timing;
  /** What an error of the connection becomes. */
  readonly failed: (error: unknown) => unknown;
}

/** Less than this in the time of a stall is a stall, too: a byte now and then would last for ever. */
const gainBytesMin = 1024;

/** The bytes of a blob from `offset` to its end, no more and no fewer, out of an answer that may begin earlier. */
export function blobBytes(
  answer: Answer,
  blob: BlobId,
  offset: number,
  options: BlobBytesOptions,
): AsyncGenerator<Buffer> {
  try {
    return read(answer, blob.size, offset, startOf(answer, blob, offset, options.asked), options);
  } catch (error) {
    answer.body.destroy();
    throw error;
  }
}

/** Where in the blob the answer begins; refuses one that cannot be the blob before anything of it is read. */
function startOf(answer: Answer, { size }: BlobId, offset: number, asked: string): number {
  const { host } = answer.url;
  const { 'content-length': length, 'content-range': range, 'content-encoding': encoding } = answer.headers;
  if (isHtml(answer)) throw wrongAnswer(asked, host, 'a page for people instead of a blob');
  const start = answer.status === 206 ? rangeStart(range, size) : 0;
  if (start === undefined || start > offset)
    throw wrongAnswer(asked, host, `the wrong part of it: ${JSON.stringify(range)}`);
  const isPlain = encoding === undefined || encoding === 'identity';
  if (isPlain && length !== undefined && Number(length) !== size - start) {
    throw wrongAnswer(asked, host, `${length} bytes, and should have sent ${size - start}`);
  }
  return start;
}

function rangeStart(range: string | undefined, size: number): number | undefined {
  const [, start, end, total] = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15}|\*)$/.exec(range ?? '') ?? [];
  const isWhole = Number(end) === size - 1 && (total === '*' || Number(total) === size);
  return start !== undefined && isWhole ? Number(start) : undefined;
}

async function* read(
  answer: Answer,
  size: number,
  offset: number,
  start: number,
  { asked, timing, failed }: BlobBytesOptions,
): AsyncGenerator<Buffer> {
  const { host } = answer.url;
  let at = start;
  try {
    for await (const chunk of watched(answer.body, timing.stallMs)) {
      const from = Math.max(offset - at, 0);
      at += chunk.length;
      if (at > size) throw wrongAnswer(asked, host, `more than the ${size} bytes that it should have`);
      if (from < chunk.length) yield from === 0 ? chunk : chunk.subarray(from);
    }
  } catch (error) {
    throw failed(error);
  } finally {
    answer.body.destroy();
  }
  if (at === size) return;
  throw new Transient(new RuntsError('ERR_REGISTRY', `${asked}: ${host} sent ${at} bytes of ${size}, and no more`));
}

/** The chunks of a stream, which is ended where it stalls. Only our own waiting counts, not that of who takes them. */
async function* watched(stream: Readable, stallMs: number): AsyncGenerator<Buffer> {
  const chunks = (stream as AsyncIterable<Buffer>)[Symbol.asyncIterator]();
  let left = stallMs;
  let gained = 0;
  for (;;) {
    const since = performance.now();
    const timer = setTimeout(() => stream.destroy(stalled(stallMs)), left);
    const next = await chunks.next().finally(() => clearTimeout(timer));
    if (next.done) return;
    gained += next.value.length;
    left -= performance.now() - since;
    if (gained >= gainBytesMin) {
      left = stallMs;
      gained = 0;
    }
    yield next.value;
  }
}
