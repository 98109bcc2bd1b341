import { StringDecoder } from 'node:string_decoder';
import type { LogLine } from '../logs.ts';

/** One line of a log in the format of the CRI. `part`: the text goes on in the next line of the stream. */
interface CriLine {
  readonly time: string;
  readonly stream: LogLine['stream'];
  readonly part: boolean;
  readonly text: Buffer;
}

const newline = 0x0a;
const space = 0x20;
const timeLength = '2026-01-01T00:00:00.000000000Z'.length;

/** The time of the first line of a segment; undefined where there is no whole one. They sort as text. */
export function timeOf(bytes: Buffer): string | undefined {
  return bytes.length > timeLength && bytes[timeLength] === space ? bytes.toString('latin1', 0, timeLength) : undefined;
}

export const headBytes = timeLength + 1;

function parse(bytes: Buffer): CriLine | undefined {
  const time = timeOf(bytes);
  const stream = bytes.toString('latin1', timeLength + 1, timeLength + 7);
  const tag = bytes.toString('latin1', timeLength + 8, timeLength + 9);
  if (time === undefined || (stream !== 'stdout' && stream !== 'stderr') || !['F', 'P'].includes(tag)) return undefined;
  return { time, stream, part: tag === 'P', text: bytes.subarray(timeLength + 10) };
}

/** From the bytes of segments, in their order, to lines as a container's log has them. */
export class CriReader {
  readonly #decoders = { stdout: new StringDecoder('utf8'), stderr: new StringDecoder('utf8') };

  /** The whole lines at the beginning of some bytes, and how many bytes these are. What is no line is passed over. */
  read(bytes: Buffer): { readonly lines: LogLine[]; readonly taken: number } {
    const lines: LogLine[] = [];
    let begin = 0;
    for (let end = bytes.indexOf(newline); end !== -1; end = bytes.indexOf(newline, begin)) {
      const line = parse(bytes.subarray(begin, end));
      begin = end + 1;
      if (line !== undefined) lines.push(this.#told(line));
    }
    return { lines, taken: begin };
  }

  /** A long line comes in several, as it does from memory; a character is not cut. */
  #told({ time, stream, part, text }: CriLine): LogLine {
    const decoder = this.#decoders[stream];
    const said = part ? decoder.write(text) : decoder.write(text) + decoder.end();
    // Milliseconds are what a Date holds.
    const at = new Date(`${time.slice(0, 23)}Z`);
    return { stream, text: !part && said.endsWith('\r') ? said.slice(0, -1) : said, at };
  }
}
