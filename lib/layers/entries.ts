import { addAbortSignal, type Readable } from 'node:stream';
import { RuntsError } from '../errors.ts';
import type { Unpacking } from '../host/layers.ts';
import { uncompressed } from './decompress.ts';
import { Pace } from './pace.ts';
import type { RecordStream } from './records.ts';
import { Refused } from './refused.ts';
import { type TarEntry, TarReader } from './tar.ts';

/** A tar archive, compressed or not. */
export interface Archive {
  open(): Readable;
  readonly signal?: AbortSignal | undefined;
  /** Hears how many bytes were taken of it, as it is. */
  readonly onBytes?: ((bytes: number) => void) | undefined;
}

/** What is done with what an archive has. */
export interface Visitor {
  /** Hears of each stretch of the uncompressed archive, before what is in it; it is not to be kept. */
  chunk?(bytes: Buffer): void;
  /** What has to be found out before. */
  prepare?(entry: TarEntry): Promise<void> | undefined;
  entry(entry: TarEntry): void;
  /** A piece of the last entry's content; only `records` may keep it. */
  content?(bytes: Buffer): void;
}

/** Where reading is, for the message of an error. */
export interface Place {
  entry?: TarEntry;
}

/** Reads an archive to its end, no faster than the records that it becomes are carried out. */
export async function eachEntry(
  { open, signal, onBytes }: Archive,
  place: Place,
  records: RecordStream,
  visitor: Visitor,
): Promise<void> {
  signal?.throwIfAborted();
  const pace = new Pace(signal);
  const reader = new TarReader();
  const raw = open();
  if (signal !== undefined) addAbortSignal(signal, raw);
  const chunks = uncompressed(raw, onBytes);
  for await (const chunk of chunks) {
    visitor.chunk?.(chunk);
    reader.feed(chunk);
    for (let event = reader.next(); event !== undefined; event = reader.next()) {
      if (event.kind === 'entry') {
        place.entry = event.entry;
        await visitor.prepare?.(event.entry);
        visitor.entry(event.entry);
      } else if (event.kind === 'data') visitor.content?.(event.bytes);
      if (records.full) await records.drained();
      if (pace.due) await pace.turn();
    }
    records.taken(() => chunks.giveBack(chunk));
    if (pace.due) await pace.turn();
  }
  reader.finish();
  delete place.entry;
}

/** Why it ended: the reason of the init that carries out records where it had one of its own, else ours, for which it only saw the end. */
export async function reasonOf(ours: unknown, records: RecordStream, unpacking: Unpacking): Promise<unknown> {
  records.close();
  const theirs: unknown = await unpacking.done.catch((error: unknown) => error);
  if (!RuntsError.is(theirs)) return ours;
  if (theirs.failure === undefined) return ours instanceof Refused ? ours : theirs;
  return theirs.failure.errno === 'ENODATA' ? ours : theirs;
}
