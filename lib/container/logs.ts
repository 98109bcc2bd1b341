import { StringDecoder } from 'node:string_decoder';
import { Pace } from '../layers/pace.ts';

/** One line that a container wrote, without its line end. */
export interface LogLine {
  readonly stream: 'stdout' | 'stderr';
  /** At most 16 KiB: a longer line comes in several. */
  readonly text: string;
  /** When its end was read. */
  readonly at: Date;
}

/** Which lines `logs()` gives; without any, all that are kept. */
export interface LogOptions {
  /** Go on with new lines until the container ends. Default `false`. */
  readonly follow?: boolean;
  /** Only lines that were written at this time or later. */
  readonly since?: Date;
  /** Only lines that were written before this time; with `follow` the iteration ends then. */
  readonly until?: Date;
  /** Only so many of the last lines that are there already. */
  readonly tail?: number;
  /** Ends the iteration, with the signal's reason as error. */
  readonly signal?: AbortSignal;
}

/** Bounds of what is remembered: older lines make room for newer ones, and a longer line is cut into several. */
const linesMax = 20_000;
const bytesMax = 8 * 1024 * 1024;
const lineLengthMax = 16 * 1024;

/** More than a timer holds is asked for again. */
const timerMsMax = 0x7fff_ffff;

export const isPast = (until: Date | undefined) => until !== undefined && until <= new Date();

export function msTo(until: Date): number {
  const now = new Date();
  return Math.min(timerMsMax, Math.max(1, until.getTime() - now.getTime()));
}

/** Remembers the last lines of both streams of a container, for whoever asks, now or later. */
export class LogBook {
  readonly #lines: LogLine[] = [];
  readonly #partial = { stdout: '', stderr: '' };
  readonly #decoders = { stdout: new StringDecoder('utf8'), stderr: new StringDecoder('utf8') };
  readonly #waiting = new Set<() => void>();
  /** How many lines have been dropped from the front: the number of the first that is kept. */
  #dropped = 0;
  #bytes = 0;
  #ended = false;

  /** How many lines it has forgotten. */
  get droppedLines(): number {
    return this.#dropped;
  }

  /** Takes a chunk of a stream as it came. */
  write(stream: LogLine['stream'], chunk: Buffer): void {
    const text = this.#partial[stream] + this.#decoders[stream].write(chunk);
    const pieces = text.split('\n');
    const rest = pieces.pop() as string;
    for (const piece of pieces) {
      this.#push(stream, this.#cut(stream, piece.endsWith('\r') ? piece.slice(0, -1) : piece));
    }
    this.#partial[stream] = this.#cut(stream, rest);
    this.#wake();
  }

  /** A run of the command has ended: an unfinished line is a line. */
  flush(): void {
    for (const stream of ['stdout', 'stderr'] as const) {
      const rest = this.#partial[stream] + this.#decoders[stream].end();
      if (rest !== '') this.#push(stream, rest);
      this.#partial[stream] = '';
    }
    this.#wake();
  }

  /** No more will come. */
  end(): void {
    this.flush();
    this.#ended = true;
    this.#wake();
  }

  /** The lines that match, and with `follow` those to come. */
  async *read(options: LogOptions = {}): AsyncGenerator<LogLine, void, void> {
    const { follow = false, since, until, tail, signal } = options;
    const pace = new Pace(signal);
    let next = this.#dropped + (tail === undefined ? 0 : Math.max(0, this.#lines.length - tail));
    for (;;) {
      signal?.throwIfAborted();
      // Lines that are there already are given without waiting: timers and streams of the program want their turn, too.
      if (pace.due) await pace.turn();
      next = Math.max(next, this.#dropped);
      const line = this.#lines[next - this.#dropped];
      if (line !== undefined) {
        next++;
        if (until !== undefined && line.at >= until) return;
        if (since === undefined || line.at >= since) yield line;
      } else if (this.#ended || !follow || isPast(until)) {
        return;
      } else {
        await this.#news(signal, until);
      }
    }
  }

  /** What is left of a text of which every whole length of a line has become one. */
  #cut(stream: LogLine['stream'], text: string): string {
    let from = 0;
    for (; text.length - from > lineLengthMax; from += lineLengthMax) {
      this.#push(stream, text.slice(from, from + lineLengthMax));
    }
    return text.slice(from);
  }

  #push(stream: LogLine['stream'], text: string): void {
    this.#lines.push({ stream, text, at: new Date() });
    this.#bytes += text.length;
    if (this.#lines.length < linesMax && this.#bytes < bytesMax) return;
    // By halves, so that a busy log does not shift its whole array for every line.
    const gone = this.#lines.splice(0, Math.ceil(this.#lines.length / 2));
    this.#dropped += gone.length;
    this.#bytes -= gone.reduce((sum, line) => sum + line.text.length, 0);
  }

  #wake(): void {
    for (const resolve of this.#waiting) resolve();
    this.#waiting.clear();
  }

  #news(signal: AbortSignal | undefined, until: Date | undefined): Promise<void> {
    return new Promise((resolve) => {
      const timer = until && setTimeout(() => done(), msTo(until));
      const done = (): void => {
        clearTimeout(timer);
        this.#waiting.delete(done);
        signal?.removeEventListener('abort', done);
        resolve();
      };
      this.#waiting.add(done);
      signal?.addEventListener('abort', done, { once: true });
    });
  }
}
