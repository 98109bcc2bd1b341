/** What a set of measurements comes to. */
export interface Summary {
  readonly runs: number;
  readonly median: number;
  readonly p99: number;
  readonly least: number;
}

/** The value below which a share of the others lies: the nearest one that was measured. */
export function quantile(values: readonly number[], share: number): number {
  if (values.length === 0) throw new Error('nothing was measured');
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(share * sorted.length) - 1))]!;
}

/** The one in the middle, or between the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  if (sorted.length % 2 === 1) return sorted[half]!;
  return (quantile(sorted, 0.5) + sorted[half]!) / 2;
}

export function summarize(values: readonly number[]): Summary {
  return { runs: values.length, median: median(values), p99: quantile(values, 0.99), least: Math.min(...values) };
}

/** How far measurements of one and the same thing lie apart: the ninth decile over the first. 1 is a quiet machine. */
export const spread = (values: readonly number[]): number => quantile(values, 0.9) / quantile(values, 0.1);
