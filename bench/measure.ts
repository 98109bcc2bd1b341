import type { MeasuredRow, MeasuredSubject, Row, Subject, Unit } from './row.ts';
import { type Summary, summarize } from './statistics.ts';
import type { World } from './world.ts';

/** The first rounds load code and fill caches. */
const warmUpRounds = 3;

/**
 * Measures the contenders of a row in turn, so that a machine that slows down slows all of them, and in another order each
 * round: what one leaves to the kernel to clear away, the next one pays for.
 */
export async function measureRow(row: Row, world: World): Promise<MeasuredRow> {
  const { key, title, unit = 'ms' } = row;
  const missing = row.missing?.(world);
  if (missing !== undefined) return { key, title, unit, missing, subjects: [] };
  const subjects = await row.subjects(world);
  try {
    const rounds = row.rounds?.(world.runs) ?? world.runs;
    const values = await inTurn(subjects, { rounds, warmUp: rounds === 1 ? 0 : warmUpRounds, between: world.noise });
    return { key, title, unit, subjects: compare(subjects, values, unit) };
  } finally {
    for (const subject of subjects) await subject.close?.();
  }
}

interface Turns {
  readonly rounds: number;
  readonly warmUp: number;
  /** Before each round: what the machine does with the same work each time. */
  readonly between: () => Promise<void>;
}

async function inTurn(subjects: readonly Subject[], { rounds, warmUp, between }: Turns): Promise<number[][]> {
  const values: number[][] = subjects.map(() => []);
  for (let round = -warmUp; round < rounds; round++) {
    await between();
    for (const i of orderOf(subjects.length, round + warmUp)) {
      const { once, every = 1, missing } = subjects[i]!;
      if (missing !== undefined || round % every !== 0) continue;
      const began = performance.now();
      const measured = await once();
      const value = measured ?? performance.now() - began;
      if (round >= 0) values[i]!.push(value);
    }
  }
  return values;
}

/**
 * The orders of a Williams design: over `count` rounds, or twice as many if that is odd, each comes right after each other
 * one equally often.
 */
export function orderOf(count: number, round: number): number[] {
  const zigzag = Array.from({ length: count }, (_, i) => (i % 2 === 0 ? count - i / 2 : (i + 1) / 2));
  const order = zigzag.map((i) => (i + round) % count);
  return count % 2 === 1 && Math.floor(round / count) % 2 === 1 ? order.reverse() : order;
}

/** Medians, and how they compare to that of the first. */
export function compare(
  subjects: readonly Pick<Subject, 'name' | 'missing'>[],
  values: readonly (readonly number[])[],
  unit: Unit,
): MeasuredSubject[] {
  const summaries = values.map((each) => (each.length === 0 ? undefined : summarize(each)));
  const base = summaries[0];
  return subjects.map(({ name, missing }, i) => {
    const summary = summaries[i];
    return { name, missing, summary, ratio: summary && base && ratio(summary, base, unit) };
  });
}

const ratio = (one: Summary, base: Summary, unit: Unit) =>
  unit === '/s' ? base.median / one.median : one.median / base.median;
