import { RuntsError } from '../errors.ts';
import type { Host } from '../host/host.ts';
import { startReading, type TreeReading } from '../host/layers.ts';
import type { Maps } from '../plan/plan.ts';
import { showName } from './entry-name.ts';
import { listMax } from './limits.ts';

export type TreeEntryType = 'file' | 'directory' | 'symlink' | 'fifo' | 'character' | 'block' | 'socket';

/** What stands under a name. Names, targets and attributes are byte strings; owners are ids of the container. */
export interface TreeEntry {
  readonly name: string;
  readonly type: TreeEntryType;
  /** Permission bits. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Seconds since 1970, and what the time has beyond them. */
  readonly mtime: number;
  readonly nanoseconds: number;
  /** When anything of it was changed last: for comparisons only. */
  readonly changed: string;
  readonly size: number;
  readonly inode: bigint;
  readonly links: number;
  readonly target: string;
  readonly major: number;
  readonly minor: number;
  readonly xattrs: ReadonlyMap<string, string>;
}

/** A file that is being read: as many bytes as its entry says; undefined where it is gone. */
export interface ReadFile {
  readonly entry: TreeEntry | undefined;
  readonly content: AsyncIterable<Buffer>;
}

export interface TreePlace {
  readonly directory: string;
  /** Of the user namespace whose ids own what is there; undefined where they are the host's. */
  readonly maps: Maps | undefined;
  readonly signal?: AbortSignal | undefined;
}

const questions = { end: 0, list: 1, read: 2 } as const;
const foundBytes = 80;
const nothing = Buffer.alloc(0);

const types: readonly (readonly [number, TreeEntryType])[] = [
  [0o100000, 'file'],
  [0o040000, 'directory'],
  [0o120000, 'symlink'],
  [0o010000, 'fifo'],
  [0o020000, 'character'],
  [0o060000, 'block'],
  [0o140000, 'socket'],
];

/**
 * Reads a tree whose files may belong to ids that only a user namespace has: an init in it looks and reads (op `read_tree`),
 * and answers what it is asked. One question at a time, but for files, which are asked for together.
 */
export class TreeReader {
  readonly #reading: TreeReading;
  readonly #signal: AbortSignal | undefined;
  readonly #stop: () => void;
  #rest: Buffer = nothing;
  #asked = '';
  /** Bytes of what a directory has in it, so far. */
  #listed = 0;

  private constructor(reading: TreeReading, signal: AbortSignal | undefined) {
    this.#reading = reading;
    this.#signal = signal;
    this.#stop = () => reading.stream.close();
    signal?.addEventListener('abort', this.#stop, { once: true });
  }

  static async open(host: Host, { directory, maps, signal }: TreePlace): Promise<TreeReader> {
    signal?.throwIfAborted();
    return new TreeReader(await startReading(host, { directory, maps }), signal);
  }

  /** By an init that is at work already. */
  static over(reading: TreeReading, signal?: AbortSignal): TreeReader {
    return new TreeReader(reading, signal);
  }

  /** What is in a directory, by its name relative to the root, in the order of names; nothing where there is none. */
  async list(path: string): Promise<TreeEntry[]> {
    this.#ask([[questions.list, path]]);
    // One entry for a name: of a directory that changes meanwhile the kernel may tell it again, as something else by then, and
    // in an archive what comes below a directory would go through the link of the same name.
    const entries = new Map<string, TreeEntry>();
    this.#listed = 0;
    for (;;) {
      const entry = await this.#found();
      if (entry === undefined) break;
      entries.set(entry.name, entry);
      if (entries.size > listMax.entries || this.#listed > listMax.bytes) throw tooMuch(path);
    }
    return [...entries.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** Files, one after the other; what one contains is to be read before the next one comes. */
  async *read(paths: readonly string[]): AsyncGenerator<ReadFile, void, undefined> {
    this.#ask(paths.map((path) => [questions.read, path]));
    for (const path of paths) {
      this.#asked = path;
      const entry = await this.#found();
      yield { entry, content: this.#content(entry?.size ?? 0) };
    }
  }

  /** Ends the init, whether or not all was read. */
  async close(): Promise<void> {
    this.#signal?.removeEventListener('abort', this.#stop);
    this.#reading.stream.close();
    await this.#reading.done.catch(() => undefined);
  }

  #ask(asked: readonly (readonly [kind: number, path: string])[]): void {
    this.#asked = asked[0]?.[1] ?? '';
    const bytes = asked.map(([kind, path]) => {
      const question = Buffer.alloc(8 + path.length + 1);
      question.writeUInt32LE(kind, 0);
      question.writeUInt32LE(path.length + 1, 4);
      question.write(path, 8, 'latin1');
      return question;
    });
    // Whoever reads the answers hears of a failure.
    this.#reading.stream.write(Buffer.concat(bytes)).catch(() => undefined);
  }

  async #found(): Promise<TreeEntry | undefined> {
    const head = await this.#take(foundBytes);
    const u32 = (at: number) => head.readUInt32LE(at);
    const links = u32(0);
    if (links === 0) return undefined;
    const [name, target, attributes] = [u32(40), u32(44), u32(48)];
    const texts = await this.#take(name + target + attributes);
    this.#listed += name + target + attributes;
    const mode = u32(4);
    return {
      ...{ name: texts.toString('latin1', 0, name), target: texts.toString('latin1', name, name + target) },
      ...{ type: types.find(([bits]) => bits === (mode & 0o170000))?.[1] ?? 'socket', mode: mode & 0o7777, links },
      ...{ uid: u32(8), gid: u32(12), mtime: Number(head.readBigInt64LE(16)), nanoseconds: u32(32) },
      ...{ changed: `${head.readBigInt64LE(24)}.${u32(36)}`, major: u32(52), minor: u32(56) },
      ...{ size: Number(head.readBigUInt64LE(64)), inode: head.readBigUInt64LE(72) },
      xattrs: attributesOf(texts.subarray(name + target)),
    };
  }

  async *#content(size: number): AsyncGenerator<Buffer, void, undefined> {
    for (let rest = size; rest > 0; ) {
      if (this.#rest.length === 0) this.#rest = await this.#more();
      const piece = this.#rest.subarray(0, rest);
      this.#rest = this.#rest.subarray(piece.length);
      rest -= piece.length;
      yield piece;
    }
  }

  async #take(size: number): Promise<Buffer> {
    while (this.#rest.length < size) {
      const more = await this.#more();
      this.#rest = this.#rest.length === 0 ? more : Buffer.concat([this.#rest, more]);
    }
    const taken = this.#rest.subarray(0, size);
    this.#rest = this.#rest.subarray(size);
    return taken;
  }

  async #more(): Promise<Buffer> {
    const bytes = await this.#reading.stream.read().catch(() => undefined);
    if (bytes === undefined) throw await this.#reason();
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  async #reason(): Promise<unknown> {
    const cause: unknown = await this.#reading.done.catch((error: unknown) => error);
    if (this.#signal?.aborted) return new RuntsError('ERR_CANCELED', 'canceled while reading files', { cause });
    const failure = RuntsError.is(cause) ? cause.failure : undefined;
    const why = failure === undefined ? 'the process that reads it has ended' : `${failure.errno} in ${failure.step}`;
    return new RuntsError('ERR_SETUP', `cannot read ${showName(this.#asked)}: ${why}`, {
      cause,
      ...(failure !== undefined && { failure }),
    });
  }
}

const tooMuch = (path: string) =>
  new RuntsError('ERR_UNSUPPORTED', `cannot list ${showName(path)}: it has more in it than is held at once`, {
    hint: `A directory may have ${listMax.entries} entries, whose names, links and attributes take ${listMax.bytes} bytes.`,
  });

function attributesOf(rows: Buffer): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (let at = 0; at < rows.length; ) {
    const [name, value] = [rows.readUInt32LE(at), rows.readUInt32LE(at + 4)];
    const text = at + 8 + name;
    found.set(rows.toString('latin1', at + 8, text), rows.toString('latin1', text, text + value));
    at = text + value;
  }
  return found;
}
