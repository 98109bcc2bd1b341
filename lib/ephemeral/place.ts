import { appendFileSync } from 'node:fs';
import { appendFile, mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import type { Handle, Host } from '../host/host.ts';
import { privateDirectory } from '../host/image.ts';
import { lock } from '../node/lock.ts';

/** What an ephemeral runtime must tell those who clean up after it. */
export interface Settings {
  readonly id: string;
  readonly root: string;
  readonly state: string;
  readonly driver?: string | undefined;
  /** Directories of volume plugins. */
  readonly plugins?: readonly string[] | undefined;
}

/** What an ephemeral runtime has noted, beside the names that go with it. */
export interface Made {
  /** Ids of containers. */
  readonly containers: readonly string[];
  /** Digests. */
  readonly blobs: ReadonlySet<string>;
}

const settingsName = 'runtime.json';
const beginning = '.new-';
/** Who is at it needs no longer for a directory with a lock. */
const beginningMsMax = 60_000;

/**
 * `<data>/ephemeral/<id>/`: what an ephemeral runtime has made and is to be removed with it. While its process is there it
 * has the lock, which the kernel ends with it.
 */
export class Place {
  readonly id: string;
  readonly #all: string;

  constructor(root: string, id: string) {
    this.id = id;
    this.#all = `${root}/ephemeral`;
  }

  get #directory(): string {
    return `${this.#all}/${this.id}`;
  }

  /** It has its name once it is locked: one that is not was left. */
  async make(host: Host, settings: Settings): Promise<Handle> {
    await privateDirectory(host, this.#all, 'a place for what ephemeral runtimes note');
    const temporary = `${this.#all}/${beginning}${this.id}`;
    await mkdir(temporary, { mode: 0o700 });
    const locked = await lock(`${temporary}/lock`);
    try {
      await writeFile(`${temporary}/${settingsName}`, JSON.stringify(settings), { mode: 0o600 });
      await writeFile(`${temporary}/made`, '', { mode: 0o600 });
      await rename(temporary, this.#directory);
      return locked;
    } catch (error) {
      await rm(temporary, { recursive: true, force: true });
      locked.close();
      throw error;
    }
  }

  noteContainer(id: string): void {
    appendFileSync(`${this.#directory}/made`, `container ${id}\n`);
  }

  async noteBlob(digest: string): Promise<void> {
    await appendFile(`${this.#directory}/made`, `blob ${digest}\n`);
  }

  async made(): Promise<Made> {
    const text = await readFile(`${this.#directory}/made`, 'utf8').catch(() => '');
    // Its last line may have been cut short: what it was about had not been begun.
    const notes = text.split('\n').slice(0, -1);
    const of = (kind: string) =>
      notes.flatMap((note) => (note.startsWith(`${kind} `) ? [note.slice(kind.length + 1)] : []));
    return { containers: of('container').filter((id) => /^[0-9a-f]{64}$/.test(id)), blobs: new Set(of('blob')) };
  }

  /** Undefined where somebody has the lock: its process, or who cleans up after it; and where there is nothing. */
  async tryLock(): Promise<Handle | undefined> {
    if (!(await isThere(this.#directory))) return undefined;
    const locked = await lock(`${this.#directory}/lock`).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'EAGAIN' || error.code === 'ENOENT') return undefined;
      throw error;
    });
    // Whoever had it may have removed all of it meanwhile.
    if (locked !== undefined && !(await isThere(`${this.#directory}/${settingsName}`))) {
      locked.close();
      return undefined;
    }
    return locked;
  }

  isThere(): Promise<boolean> {
    return isThere(this.#directory);
  }

  /** By who has the lock. The settings go first: without them there is nothing to clean up. */
  async remove(): Promise<void> {
    await rm(`${this.#directory}/${settingsName}`, { force: true });
    await rm(this.#directory, { recursive: true, force: true });
  }

  /** Of a process that was killed before it had made anything. */
  async removeBeginning(): Promise<void> {
    await rm(`${this.#all}/${beginning}${this.id}`, { recursive: true, force: true });
  }
}

/** The settings of all ephemeral runtimes of a data directory, whether their processes are there or not. */
export async function ephemeralRuntimes(root: string): Promise<readonly Settings[]> {
  const directory = `${root}/ephemeral`;
  const names = await readdir(directory).catch(() => []);
  for (const name of names.filter((each) => each.startsWith(beginning))) {
    const stats = await stat(`${directory}/${name}`).catch(() => undefined);
    if (stats === undefined || stats.mtimeMs > Date.now() - beginningMsMax) continue;
    await rm(`${directory}/${name}`, { recursive: true, force: true });
  }
  const found = await Promise.all(
    names.filter((name) => !name.startsWith('.')).map((name) => readSettings(`${directory}/${name}`)),
  );
  return found.filter((settings) => settings !== undefined);
}

async function readSettings(directory: string): Promise<Settings | undefined> {
  try {
    return JSON.parse(await readFile(`${directory}/${settingsName}`, 'utf8')) as Settings;
  } catch {
    return undefined;
  }
}

const isThere = (path: string) =>
  stat(path).then(
    () => true,
    () => false,
  );
