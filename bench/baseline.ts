import type { Report } from './report.ts';

/** Ratios that were measured before, by who, row and contender: times depend on the machine, ratios hardly. */
export type Baseline = Readonly<Record<string, Ratios>>;
type Ratios = Readonly<Record<string, Readonly<Record<string, number>>>>;

/** A ratio that was kept, and what it is now. */
export interface Change {
  readonly row: string;
  readonly subject: string;
  readonly before: number;
  readonly now: number;
  readonly worse: boolean;
}

/** Above this many times the ratio that was kept it is worse; below it is noise. */
const worseFactor = 1.25;

/** Those of ours whose ratio was kept. */
export function changesSince(baseline: Baseline, report: Report): Change[] {
  const kept = baseline[report.who] ?? {};
  return Object.entries(ratiosOf(report)).flatMap(([row, subjects]) =>
    Object.entries(subjects).flatMap(([subject, now]) => {
      const before = kept[row]?.[subject];
      return before === undefined ? [] : [{ row, subject, before, now, worse: now > before * worseFactor }];
    }),
  );
}

/** The baseline with the ratios of this report in the place of those of the same rows. */
export function withReport(baseline: Baseline, report: Report): Baseline {
  return { ...baseline, [report.who]: { ...baseline[report.who], ...ratiosOf(report) } };
}

/** Ours, to the first contender of each row. */
function ratiosOf({ rows }: Report): Ratios {
  const entries = rows.map(({ key, subjects }) => {
    const ours = subjects.slice(1).filter(({ name, ratio }) => name.startsWith('runts') && ratio !== undefined);
    return [key, Object.fromEntries(ours.map(({ name, ratio }) => [name, round(ratio!)]))] as const;
  });
  return Object.fromEntries(entries.filter(([, ratios]) => Object.keys(ratios).length > 0));
}

const round = (ratio: number): number => Math.round(ratio * 100) / 100;
