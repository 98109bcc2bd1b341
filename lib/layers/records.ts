import type { Stream } from '../host/host.ts';

/** What a record asks the unpacker for; native/ops/unpack.h has the same numbers. */
export const recordKinds = {
  file: 1,
  directory: 2,
  symlink: 3,
  link: 4,
  node: 5,
  whiteout: 6,
  opaque: 7,
  remove: 8,
  empty: 9,
  settle: 10,
  end: 11,
} as const;
export type RecordKind = keyof typeof recordKinds;

/** One entry; names are byte strings, relative to the directory, and `''` is the directory itself. */
export interface LayerRecord {
  readonly name: string;
  /** What a symbolic link holds, or the name of the file that a hard link is to. */
  readonly target?: string;
  /** With the type of a node in it. */
  readonly mode?: number;
  /** Undefined: whoever unpacks owns it. */
  readonly uid?: number | undefined;
  readonly gid?: number | undefined;
  readonly mtime?: number;
  readonly nanoseconds?: number;
  /** Bytes of content that follow. */
  readonly size?: number;
  readonly major?: number;
  readonly minor?: number;
  readonly xattrs?: ReadonlyMap<string, string>;
}

export const recordBytes = 64;
const keep = 0xffff_ffff;

/** Content from here on is sent from where it lies; less is gathered. */
const gatheredMax = 16 * 1024;
const batchBytes = 128 * 1024;
/** How far we may be ahead of the unpacker: enough that neither waits for the other, little enough to be no burden. */
const pendingBytesMax = 2 * 1024 * 1024;

const noXattrs: ReadonlyMap<string, string> = new Map();
const noBytes = Buffer.alloc(0);

const newBatch = (bytes: number): Buffer => Buffer.allocUnsafeSlow(Math.max(batchBytes, bytes));

/** Writes records for the init that unpacks. Whoever writes asks `full` in between, and waits for `drained` then. */
export class RecordStream {
  readonly #out: Stream;
  readonly #flags: number;
  #batch = newBatch(0);
  /** Batches that were taken away. */
  readonly #free: Buffer[] = [];
  #last: Promise<void> = Promise.resolve();
  #start = 0;
  #at = 0;
  #pending = 0;
  #error: unknown;
  #wake: (() => void) | undefined;

  /** `keep`: into a tree that is in use; nothing takes the place of a directory, and no directory that of anything else. */
  constructor(out: Stream, { keep = false }: { readonly keep?: boolean } = {}) {
    this.#out = out;
    this.#flags = keep ? 1 : 0;
  }

  /** True when what was written should be taken away before more is. */
  get full(): boolean {
    return this.#pending > pendingBytesMax || this.#error !== undefined;
  }

  record(kind: RecordKind, record: LayerRecord): void {
    const xattrs = encodeXattrs(record.xattrs ?? noXattrs);
    const nameBytes = record.name.length + 1;
    const targetBytes = record.target === undefined ? 0 : record.target.length + 1;
    const at = this.#room(recordBytes + nameBytes + targetBytes);
    const batch = this.#batch;
    const mtime = Math.floor(record.mtime ?? 0);
    batch.writeUInt32LE(recordKinds[kind], at);
    batch.writeUInt32LE(record.mode ?? 0, at + 4);
    batch.writeUInt32LE(record.uid ?? keep, at + 8);
    batch.writeUInt32LE(record.gid ?? keep, at + 12);
    batch.writeUInt32LE(mtime >>> 0, at + 16);
    batch.writeInt32LE(Math.floor(mtime / 2 ** 32), at + 20);
    batch.writeUInt32LE(record.nanoseconds ?? 0, at + 24);
    batch.writeUInt32LE(nameBytes, at + 28);
    batch.writeUInt32LE(targetBytes, at + 32);
    batch.writeUInt32LE(xattrs.length, at + 36);
    batch.writeUInt32LE((record.size ?? 0) >>> 0, at + 40);
    batch.writeUInt32LE(Math.floor((record.size ?? 0) / 2 ** 32), at + 44);
    batch.writeUInt32LE(record.major ?? 0, at + 48);
    batch.writeUInt32LE(record.minor ?? 0, at + 52);
    batch.writeUInt32LE(this.#flags, at + 56);
    batch.writeUInt32LE(0, at + 60);
    this.#text(record.name, at + recordBytes);
    if (record.target !== undefined) this.#text(record.target, at + recordBytes + nameBytes);
    if (xattrs.length > 0) this.content(xattrs);
  }

  /** A piece of the content of the last record; it may not be changed before `taken`. */
  content(bytes: Buffer): void {
    if (bytes.length > gatheredMax) {
      this.#flush();
      this.#send(bytes);
    } else {
      const at = this.#room(bytes.length);
      bytes.copy(this.#batch, at);
    }
  }

  /** Calls back when all content that was given so far is no longer looked at; never where the unpacker takes no more. */
  taken(callback: () => void): void {
    this.#last.then(callback, () => undefined);
  }

  /** Fulfilled when there is room again. Throws when the unpacker takes no more. */
  async drained(): Promise<void> {
    this.#flush();
    await this.#until(pendingBytesMax / 2);
  }

  /** Ends the stream: fulfilled when all of it was taken. */
  async end(): Promise<void> {
    this.record('end', { name: '' });
    this.#flush();
    await this.#until(0);
  }

  close(): void {
    this.#out.close();
  }

  async #until(most: number): Promise<void> {
    while (this.#pending > most && this.#error === undefined) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    if (this.#error !== undefined) throw this.#error;
  }

  /** Where in the batch there is room for so many bytes, which become part of it. */
  #room(bytes: number): number {
    if (this.#at + bytes > this.#batch.length) {
      this.#flush();
      const batch = this.#batch;
      // What is on its way must not be written over.
      if (batch.length === batchBytes) this.taken(() => this.#free.push(batch));
      this.#batch = (bytes > batchBytes ? undefined : this.#free.pop()) ?? newBatch(bytes);
      this.#start = this.#at = 0;
    }
    const at = this.#at;
    this.#at += bytes;
    return at;
  }

  #text(text: string, at: number): void {
    this.#batch.write(text, at, 'latin1');
    this.#batch[at + text.length] = 0;
  }

  #flush(): void {
    if (this.#at === this.#start) return;
    this.#send(this.#batch.subarray(this.#start, this.#at));
    this.#start = this.#at;
  }

  #send(bytes: Buffer): void {
    if (this.#error !== undefined) return;
    this.#pending += bytes.length;
    this.#last = this.#out.write(bytes);
    this.#last.then(
      () => {
        this.#pending -= bytes.length;
        this.#wake?.();
      },
      (error: unknown) => {
        this.#error ??= error;
        this.#wake?.();
      },
    );
  }
}

/** Rows of: length of the name with its NUL, length of the value, name, value. */
function encodeXattrs(xattrs: ReadonlyMap<string, string>): Buffer {
  if (xattrs.size === 0) return noBytes;
  const rows = [...xattrs].map(([name, value]) => {
    const row = Buffer.alloc(8 + name.length + 1 + value.length);
    row.writeUInt32LE(name.length + 1, 0);
    row.writeUInt32LE(value.length, 4);
    row.write(name, 8, 'latin1');
    row.write(value, 8 + name.length + 1, 'latin1');
    return row;
  });
  return Buffer.concat(rows);
}
