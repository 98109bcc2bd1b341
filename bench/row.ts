import type { Summary } from './statistics.ts';
import type { World } from './world.ts';

export type Unit = 'ms' | '/s' | 'KiB' | 'bytes';

/** One contender of a row. */
export interface Subject {
  readonly name: string;
  /** Why it takes no part. */
  readonly missing?: string | undefined;
  /** Takes part in one of so many rounds: what takes long is measured less often. */
  readonly every?: number;
  /** Once. Gives what is measured; without, the milliseconds that it took are. */
  once(): Promise<number | undefined> | Promise<void>;
  close?(): void | Promise<void>;
}

/** Contenders that do the same, in turn; the first one is what the others are compared with. */
export interface Row {
  readonly key: string;
  readonly title: string;
  readonly unit?: Unit;
  /** For what is the same each time, or is a measurement over many already. */
  readonly rounds?: (runs: number) => number;
  /** Why it cannot be measured here. */
  missing?(world: World): string | undefined;
  subjects(world: World): readonly Subject[] | Promise<readonly Subject[]>;
}

export interface MeasuredSubject {
  readonly name: string;
  readonly missing?: string | undefined;
  readonly summary?: Summary | undefined;
  /** To the first one of its row: how many times as much, and for rates how many times as little. Smaller is better. */
  readonly ratio?: number | undefined;
}

export interface MeasuredRow {
  readonly key: string;
  readonly title: string;
  readonly unit: Unit;
  readonly missing?: string | undefined;
  readonly subjects: readonly MeasuredSubject[];
}
