import { cpus, release } from 'node:os';
import type { MeasuredRow } from './row.ts';
import { median, spread } from './statistics.ts';
import type { World } from './world.ts';

/** One run of the benchmark, whole: what is written as JSON. */
export interface Report {
  readonly machine: string;
  readonly who: 'root' | 'ordinary user';
  readonly runs: number;
  readonly noise: Noise;
  readonly rows: readonly MeasuredRow[];
}

/** What a fixed piece of work took, all the time. */
export interface Noise {
  readonly medianMs: number;
  /** Its ninth decile over its first. */
  readonly spread: number;
}

export function reportOf(world: World, rows: readonly MeasuredRow[], loopMs: readonly number[]): Report {
  const { model } = cpus()[0] ?? { model: 'unknown processor' };
  return {
    machine: `${cpus().length} × ${model.trim()}, Linux ${release()}, Node.js ${process.version}`,
    who: world.root ? 'root' : 'ordinary user',
    runs: world.runs,
    noise: { medianMs: median(loopMs), spread: spread(loopMs) },
    rows,
  };
}
