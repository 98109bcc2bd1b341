import { randomBytes } from 'node:crypto';
import { readdir, unlink, writeFile } from 'node:fs/promises';
import type { Handle } from '../host/host.ts';
import { readRecordText } from '../layers/record-file.ts';
import { lock } from '../node/lock.ts';
import { tryLock } from './lock.ts';

/** A container that has a volume, by what it has noted in `uses/` of the volume. */
export interface Use {
  readonly container: string;
  /** What its driver knows this use by. */
  readonly id: string;
}

/** A use of ours: it is one while the file is locked, which the kernel ends with our process. */
export interface OwnUse extends Use {
  close(): Promise<void>;
}

/** Notes a use. To be called with the lock of all names held: whoever looks for uses has it, too. */
export async function addUse(directory: string, container: string): Promise<OwnUse> {
  const use: Use = { container, id: randomBytes(32).toString('hex') };
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
    const locked = await tryLock(path);
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

async function readUse(path: string, id: string): Promise<Use> {
  const text = (await readRecordText(path)) ?? '';
  try {
    const { container } = JSON.parse(text) as Partial<Use>;
    if (typeof container === 'string') return { container, id };
  } catch {
    // Its process ended before it could say.
  }
  return { container: '(unknown)', id };
}
