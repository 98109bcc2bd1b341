import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from './paths.ts';
import { plot } from './plot.ts';
import type { Report } from './report.ts';
import { markdownTable, noiseLine } from './table.ts';

/** The rows that the README shows. */
const shown = ['create', 'command-line', 'exec', 'exec-other', 'at-once'];
const [begin, end] = ['<!-- bench: begin -->', '<!-- bench: end -->'];

/** Puts the table into README.md and the plot into docs/bench.svg. */
export function publish(report: Report): void {
  const rows = report.rows.filter(({ key }) => shown.includes(key));
  writeFileSync(join(packageRoot, 'docs/bench.svg'), plot(rows));
  const path = join(packageRoot, 'README.md');
  const text = readFileSync(path, 'utf8');
  const { machine, who, runs, noise } = report;
  const table = `${markdownTable(rows)}\n\n${machine}; ${who}; ${runs} runs; ${noiseLine(noise)}.`;
  writeFileSync(path, between(text, table));
}

/** The text with what stands between the two marks replaced. */
export function between(text: string, content: string): string {
  const [from, to] = [text.indexOf(begin), text.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`README.md has no ${begin} … ${end}`);
  return `${text.slice(0, from + begin.length)}\n${content}\n${text.slice(to)}`;
}
