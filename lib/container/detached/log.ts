import { type FileHandle, open, stat } from 'node:fs/promises';
import type { Host, Watch } from '../../host/host.ts';
import { Pace } from '../../layers/pace.ts';
import { isPast, type LogLine, type LogOptions, msTo } from '../logs.ts';
import { CriReader, headBytes, timeOf } from './cri.ts';
import type { Place } from './record.ts';

/** The end of a process, to be waited for. */
export interface Ending {
  readonly done: Promise<unknown>;
  /** Stops waiting for it. */
  close(): void;
}

/** A log that process 1 of a container writes: segments that are emptied and taken again, in turn. */
export interface LogFiles {
  readonly host: Host;
  readonly place: Place;
  readonly count: number;
  /** The end of the process that writes; undefined when nobody does. */
  ended(): Promise<Ending | undefined>;
}

export const segmentPath = ({ directory }: Place, i: number) => `${directory}/log.${i}`;

/** The time of the first line of each segment. */
function heads(place: Place, count: number): Promise<(string | undefined)[]> {
  return Promise.all(Array.from({ length: count }, (_, i) => headOf(segmentPath(place, i))));
}

async function headOf(path: string): Promise<string | undefined> {
  return timeOf(await readFrom(path, 0, headBytes));
}

/** Numbers of the segments that have lines, the oldest first. */
export async function orderOf(place: Place, count: number): Promise<number[]> {
  const found = await heads(place, count);
  const used = found.flatMap((time, i) => (time === undefined ? [] : [{ time, i }]));
  return used.sort((a, b) => (a.time < b.time ? -1 : a.time > b.time ? 1 : a.i - b.i)).map(({ i }) => i);
}

const wholeBytesMax = 64 * 1024 * 1024;

/** Some bytes of a file, from a place on; none where it is not there. */
async function readFrom(path: string, from: number, most = wholeBytesMax): Promise<Buffer> {
  let file: FileHandle;
  try {
    file = await open(path, 'r');
  } catch {
    return Buffer.alloc(0);
  }
  try {
    const { size } = await file.stat();
    const bytes = Buffer.alloc(Math.max(0, Math.min(most, size - from)));
    let read = 0;
    while (read < bytes.length) {
      const { bytesRead } = await file.read(bytes, read, bytes.length - read, from + read);
      if (bytesRead === 0) break;
      read += bytesRead;
    }
    return bytes.subarray(0, read);
  } finally {
    await file.close();
  }
}

/** Where a reader is. */
interface Position {
  segment: number;
  /** The time of its first line: another one means that it was emptied since. */
  head: string | undefined;
  offset: number;
}

/** The lines that match, and with `follow` those to come, until the container ends. */
export async function* readLog(log: LogFiles, options: LogOptions): AsyncGenerator<LogLine, void, void> {
  const { follow = false, since, until, tail, signal } = options;
  const reader = new CriReader();
  const position: Position = { segment: 0, head: undefined, offset: 0 };
  const pace = new Pace(signal);
  const news = follow ? new News(log, signal, until) : undefined;
  try {
    // Asked before the first look, so that nothing that is written in between is missed.
    let end = await news?.begin();
    signal?.throwIfAborted();
    let lines = await whole(log, reader, position);
    if (tail !== undefined) lines = tail === 0 ? [] : lines.slice(-tail);
    for (;;) {
      for (const line of lines) {
        if (until !== undefined && line.at >= until) return;
        if (since === undefined || line.at >= since) yield line;
        signal?.throwIfAborted();
        if (pace.due) await pace.turn();
      }
      if (news === undefined || end === undefined || isPast(until)) return;
      if (await news.wait(end)) end = undefined;
      signal?.throwIfAborted();
      lines = await more(log, reader, position);
    }
  } finally {
    news?.close();
  }
}

/** All that is there, and where it ends. */
async function whole({ place, count }: LogFiles, reader: CriReader, position: Position): Promise<LogLine[]> {
  const lines: LogLine[] = [];
  for (const i of await orderOf(place, count)) {
    const bytes = await readFrom(segmentPath(place, i), 0);
    const read = reader.read(bytes);
    for (const line of read.lines) lines.push(line);
    Object.assign(position, { segment: i, head: timeOf(bytes), offset: read.taken });
  }
  return lines;
}

/** What was written since. */
async function more({ place, count }: LogFiles, reader: CriReader, position: Position): Promise<LogLine[]> {
  const lines: LogLine[] = [];
  const take = async (): Promise<void> => {
    const read = reader.read(await readFrom(segmentPath(place, position.segment), position.offset));
    for (const line of read.lines) lines.push(line);
    position.offset += read.taken;
  };
  for (let turns = 0; turns <= count; turns++) {
    const found = await heads(place, count);
    // Emptied while we were away, and maybe others, too: on with the oldest that is newer than what we know.
    if (found[position.segment] === position.head) await take();
    const known = position.head ?? '';
    const newer = found.flatMap((time, i) => (time !== undefined && time > known ? [{ time, i }] : []));
    const [next] = newer.sort((a, b) => (a.time < b.time ? -1 : 1));
    if (next === undefined) break;
    // What it had, it had before the next one was begun.
    if (position.head === undefined || found[position.segment] === position.head) await take();
    Object.assign(position, { segment: next.i, head: next.time, offset: 0 });
    await take();
  }
  return lines;
}

/** Tells when there may be something new. */
class News {
  readonly #log: LogFiles;
  readonly #watches: Watch[] = [];
  readonly #until: Date | undefined;
  readonly #signal: AbortSignal | undefined;
  readonly #pending = new Map<Watch, Promise<void>>();
  #end: Ending | undefined;
  #stop!: () => void;
  readonly #stopped = new Promise<void>((resolve) => {
    this.#stop = resolve;
  });

  constructor(log: LogFiles, signal: AbortSignal | undefined, until: Date | undefined) {
    this.#log = log;
    this.#until = until;
    this.#signal = signal;
    signal?.addEventListener('abort', this.#stop, { once: true });
  }

  async begin(): Promise<Ending | undefined> {
    const { host, place, count } = this.#log;
    for (let i = 0; i < count; i++) {
      const path = segmentPath(place, i);
      if ((await stat(path).catch(() => undefined)) === undefined) continue;
      this.#watches.push(await host.files.watch(path));
    }
    this.#end = await this.#log.ended();
    return this.#end;
  }

  /** Whether it has ended. */
  async wait(end: Ending): Promise<boolean> {
    for (const watch of this.#watches) {
      if (this.#pending.has(watch)) continue;
      const changed = watch.changed().catch(() => undefined);
      this.#pending.set(
        watch,
        changed.then(() => void this.#pending.delete(watch)),
      );
    }
    let timer: NodeJS.Timeout | undefined;
    const limit =
      this.#until &&
      new Promise<void>((resolve) => {
        timer = setTimeout(resolve, msTo(this.#until as Date));
      });
    try {
      const ended = end.done.then(
        () => true,
        () => true,
      );
      const others = [...this.#pending.values(), this.#stopped, ...(limit === undefined ? [] : [limit])];
      return await Promise.race([ended, ...others.map((each) => each.then(() => false))]);
    } finally {
      clearTimeout(timer);
    }
  }

  close(): void {
    this.#signal?.removeEventListener('abort', this.#stop);
    for (const watch of this.#watches) watch.close();
    this.#end?.close();
  }
}
