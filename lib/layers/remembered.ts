import type { BigIntStats } from 'node:fs';
import { stat } from 'node:fs/promises';

/** Two changes within so long may bear the same time: what is younger is read anew. */
const settledMs = 100n;

interface Entry<T> {
  readonly stats: BigIntStats;
  readonly value: T;
}

/** What was made of files, by key: made anew once stat(2) says that the file is another, or was changed. */
export class Remembered<T> {
  readonly #most: number;
  readonly #entries = new Map<string, Entry<T>>();

  /** So many at most. */
  constructor(most: number) {
    this.#most = most;
  }

  /** Where there is no such file, or nothing comes of it, nothing is remembered. */
  async of(path: string, key: string, make: () => Promise<T | undefined>): Promise<T | undefined> {
    const stats = await stat(path, { bigint: true }).catch(() => undefined);
    const known = this.#entries.get(key);
    if (known !== undefined && stats !== undefined && isSame(known.stats, stats)) return known.value;
    this.#entries.delete(key);
    const value = await make();
    if (value !== undefined && stats !== undefined && isSettled(stats)) this.#keep(key, { stats, value });
    return value;
  }

  #keep(key: string, entry: Entry<T>): void {
    const [oldest] = this.#entries.keys();
    if (this.#entries.size >= this.#most && oldest !== undefined) this.#entries.delete(oldest);
    this.#entries.set(key, entry);
  }
}

const isSame = (a: BigIntStats, b: BigIntStats): boolean =>
  a.dev === b.dev && a.ino === b.ino && a.size === b.size && a.mtimeNs === b.mtimeNs && a.ctimeNs === b.ctimeNs;

function isSettled({ ctimeMs }: BigIntStats): boolean {
  const age = BigInt(Date.now()) - ctimeMs;
  return age > settledMs;
}
