import { Readable } from 'node:stream';
import { RuntsError } from '../errors.ts';
import type { Unpacking } from '../host/layers.ts';
import { eachEntry, type Place, reasonOf } from './entries.ts';
import { pathComponents, showName } from './entry-name.ts';
import { type LayerRecord, RecordStream } from './records.ts';
import { Refused } from './refused.ts';
import type { TarEntry } from './tar.ts';
import { isKeptAttribute } from './xattrs.ts';

export interface CopyIn {
  /** Plain, or compressed as layers may be. */
  readonly tar: AsyncIterable<Uint8Array>;
  /** Where to, as a byte string relative to the root. */
  readonly target: string;
  /** Whether the container has an id; undefined where it has one only, and owners are not given. */
  readonly isMapped: ((kind: 'uids' | 'gids', id: number) => boolean) | undefined;
  readonly signal?: AbortSignal | undefined;
}

const fifo = 0o010000;

/** Copies an archive into a tree that is in use: what is there stays, but for files that are in the archive. */
export async function copyIn(unpacking: Unpacking, request: CopyIn): Promise<void> {
  const records = new RecordStream(unpacking.records, { keep: true });
  const copy = new Copy(records, request);
  const { signal } = request;
  let stop: (() => void) | undefined;
  const stopped = new Promise<never>((_resolve, reject) => {
    stop = () => reject(signal?.reason);
    signal?.addEventListener('abort', stop, { once: true });
    if (signal?.aborted) stop();
  });
  const work = async (): Promise<void> => {
    await copy.run();
    await records.end();
    await unpacking.done;
  };
  try {
    // Whoever sends the archive need not notice that nobody waits for it.
    await Promise.race([work(), stopped]);
  } catch (error) {
    const cause = await reasonOf(error, records, unpacking);
    if (signal?.aborted) throw new RuntsError('ERR_CANCELED', 'canceled while copying', { cause: error });
    throw copy.explained(cause);
  } finally {
    if (stop !== undefined) signal?.removeEventListener('abort', stop);
  }
}

class Copy {
  readonly #out: RecordStream;
  readonly #request: CopyIn;
  /** Given at the end, inner ones first: what is put into a directory changes its time, and its mode may keep us out. */
  readonly #directories = new Map<string, TarEntry>();
  readonly #at: Place = {};
  #writes = false;

  constructor(out: RecordStream, request: CopyIn) {
    this.#out = out;
    this.#request = request;
  }

  async run(): Promise<void> {
    const { tar, signal } = this.#request;
    await eachEntry({ open: () => Readable.from(tar), signal }, this.#at, this.#out, {
      entry: (entry) => this.#begin(entry),
      content: (bytes) => {
        // A copy: whoever sends the archive may use its memory again.
        if (this.#writes) this.#out.content(Buffer.from(bytes));
      },
    });
    for (const [name, entry] of [...this.#directories].reverse()) {
      this.#out.record('settle', { name, ...this.#attributes(entry) });
      if (this.#out.full) await this.#out.drained();
    }
  }

  explained(cause: unknown): unknown {
    if (RuntsError.is(cause)) return cause;
    if (!(cause instanceof Refused)) return cause;
    const { entry } = this.#at;
    const at = entry === undefined ? '' : `, entry ${showName(entry.name)}`;
    const code = cause.unsupported ? 'ERR_UNSUPPORTED' : 'ERR_IMAGE';
    return new RuntsError(code, `cannot copy the archive${at}: ${cause.message}`, { hint: cause.hint, cause });
  }

  #begin(entry: TarEntry): void {
    this.#writes = entry.type === 'file';
    const components = pathComponents(entry.name);
    // The directory that everything is put into stays as it is.
    if (components.length === 0) {
      if (entry.type !== 'directory') throw new Refused(`the root itself is given as a ${entry.type}`);
      return;
    }
    this.#checkOwner(entry);
    this.#record(entry, this.#place(components));
  }

  #record(entry: TarEntry, name: string): void {
    const attributes = this.#attributes(entry);
    switch (entry.type) {
      case 'file':
        this.#out.record('file', { name, ...attributes, size: entry.size });
        return;
      case 'directory':
        this.#directories.delete(name);
        this.#directories.set(name, entry);
        this.#out.record('directory', { name });
        return;
      case 'symlink':
        this.#out.record('symlink', { name, ...attributes, target: entry.linkName });
        return;
      case 'link':
        this.#out.record('link', { name, target: this.#place(pathComponents(entry.linkName)) });
        return;
      case 'fifo':
        this.#out.record('node', { name, ...attributes, mode: entry.mode | fifo });
        return;
      default:
        throw new Refused('it is a device, and those of a container are told when it is made', { unsupported: true });
    }
  }

  #place(components: readonly string[]): string {
    const { target } = this.#request;
    return [...(target === '' ? [] : [target]), ...components].join('/');
  }

  #attributes({ mode, uid, gid, mtime, nanoseconds, xattrs }: TarEntry): Omit<LayerRecord, 'name'> {
    const kept = xattrs.size === 0 ? xattrs : new Map([...xattrs].filter(([key]) => isKeptAttribute(key)));
    const owner = this.#request.isMapped === undefined ? {} : { uid, gid };
    return { mode, mtime, nanoseconds, xattrs: kept, ...owner };
  }

  #checkOwner({ uid, gid }: TarEntry): void {
    const { isMapped } = this.#request;
    if (isMapped === undefined || (isMapped('uids', uid) && isMapped('gids', gid))) return;
    throw new Refused(`its owner ${uid}:${gid} is none that the container has`, {
      hint: 'Make the archive with `--owner=0 --group=0`, or give the container more ids.',
    });
  }
}
