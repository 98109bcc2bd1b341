import type { Change } from './baseline.ts';
import { times, withUnit } from './format.ts';
import type { Report } from './report.ts';
import type { MeasuredRow, MeasuredSubject } from './row.ts';

const heading = ['', 'median', '99th percentile', 'least', 'ratio', ''];

/** The report as a table of text; what has become worse is marked. */
export function textTable(report: Report, changes: readonly Change[] = []): string {
  const { machine, who, runs, noise } = report;
  const blocks = report.rows.map((row) => [[row.title, ...heading.slice(1)], ...lines(row, changes)]);
  const widths = heading.map((_, column) => Math.max(...blocks.flat().map((cells) => cells[column]!.length)));
  const show = (cells: readonly string[]): string =>
    cells
      .map((cell, i) => (i === 0 || i === cells.length - 1 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)))
      .join('  ');
  const body = blocks.map((block) => block.map((cells) => show(cells).trimEnd()).join('\n')).join('\n\n');
  return `${machine}; ${who}; ${runs} runs\n${noiseLine(noise)}\n\n${body}\n`;
}

/** The same for a page: as many columns as a reader wants. */
export function markdownTable(rows: readonly MeasuredRow[]): string {
  const lines = rows.flatMap(({ title, unit, subjects, missing }) => [
    `| **${title}** | ${missing ?? ''} | | |`,
    ...subjects.map(({ name, summary, ratio, missing: why }) =>
      summary === undefined
        ? `| ${name} | ${why ?? 'not measured'} | | |`
        : `| ${name} | ${withUnit(summary.median, unit)} | ${withUnit(summary.p99, unit)} | ${ratio === undefined ? '' : times(ratio)} |`,
    ),
  ]);
  return ['| | median | 99th percentile | ratio |', '|---|---:|---:|---:|', ...lines].join('\n');
}

export const noiseLine = ({ medianMs, spread }: Report['noise']): string =>
  `noise: a fixed loop took ${medianMs.toFixed(2)} ms, its ninth decile ${times(spread)} its first`;

function lines({ key, unit, missing, subjects }: MeasuredRow, changes: readonly Change[]): string[][] {
  if (missing !== undefined) return [['', '', '', '', '', missing]];
  return subjects.map((subject) => {
    const change = changes.find((each) => each.row === key && each.subject === subject.name);
    const mark = change?.worse ? `worse: was ${times(change.before)}` : '';
    return [`  ${subject.name}`, ...cells(subject, unit), subject.missing ?? mark];
  });
}

function cells({ summary, ratio }: MeasuredSubject, unit: MeasuredRow['unit']): string[] {
  if (summary === undefined) return ['', '', '', ''];
  const { median, p99, least } = summary;
  return [...[median, p99, least].map((value) => withUnit(value, unit)), ratio === undefined ? '' : times(ratio)];
}
