import { randomBytes } from 'node:crypto';
import { access, readdir, unlink, writeFile } from 'node:fs/promises';
import type { Handle } from '../host/host.ts';
import { readRecordText } from '../layers/record-file.ts';
import { lock } from '../node/lock.ts';
import { tryLock } from './lock.ts';

/** A container that has a volume, by what it has noted in `uses/` of the volume. */
export interface Use {
  readonly container: string;
  /** What its driver knows this use by. */
  readonly id: string;
  /** A file: as long as it is there the use lasts, whether or not a process has it. Of containers that are detached. */
  readonly record?: string | undefined;
}

/** A use of ours: it is one while the file is locked, which the kernel ends with our process. */
export interface OwnUse extends Use {
  close(): Promise<void>;
  /** Lets go of it: it lasts as long as its record. */
  leave(): void;
}

/** Notes a use. To be called with the lock of all names held: whoever looks for uses has it, too. */
export async function addUse(directory: string, container: string, record?: string): Promise<OwnUse> {
  const use: Use = { container, id: randomBytes(32).toString('hex'), ...(record !== undefined && { record }) };
  const path = `${directory}/${use.id}`;
  const handle: Handle = await lock(path);
  try {
    await writeFile(path, JSON.stringify(use));
  } catch (error) {
    await unlink(path).catch(() => undefined);
    handle.close();
    throw error;
  }
  return {
    ...use,
    async close() {
      await unlink(path).catch(() => undefined);
      handle.close();
    },
    leave: () => handle.close(),
  };
}

export interface FoundUses {
  readonly live: readonly Use[];
  /** Of processes that were killed: their driver is still to hear of it. */
  readonly ended: readonly Use[];
}

/** Who uses a volume; `clear` forgets those that have ended. With the lock of all names held. */
export async function findUses(directory: string, how: 'look' | 'clear'): Promise<FoundUses> {
  const names = await readdir(directory).catch(() => []);
  const live: Use[] = [];
  const ended: Use[] = [];
  for (const name of names) {
    const path = `${directory}/${name}`;
    const use = await readUse(path, name);
    const locked = (await isRecorded(use)) ? undefined : await tryLock(path);
    if (locked === undefined) {
      live.push(use);
      continue;
    }
    if (how === 'clear') await unlink(path).catch(() => undefined);
    locked.close();
    ended.push(use);
  }
  return { live, ended };
}

const isRecorded = ({ record }: Use): Promise<boolean> =>
  record === undefined
    ? Promise.resolve(false)
    : access(record).then(
        () => true,
        // What cannot be looked at is taken for being there: a volume that is kept too long is no loss.
        (error: NodeJS.ErrnoException) => error.code !== 'ENOENT',
      );

async function readUse(path: string, id: string): Promise<Use> {
  const text = (await readRecordText(path)) ?? '';
  try {
    const { container, record } = JSON.parse(text) as Partial<Use>;
    if (typeof container === 'string') return { container, id, ...(typeof record === 'string' && { record }) };
  } catch {
    // Its process ended before it could say.
  }
  return { container: '(unknown)', id };
}
