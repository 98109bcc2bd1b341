import { expect, test } from 'vitest';
import { changesSince, withReport } from '../../../bench/baseline.ts';
import { withUnit } from '../../../bench/format.ts';
import { plot } from '../../../bench/plot.ts';
import { between } from '../../../bench/publish.ts';
import type { Report } from '../../../bench/report.ts';
import type { MeasuredRow } from '../../../bench/row.ts';
import { markdownTable, textTable } from '../../../bench/table.ts';

const summary = (median: number) => ({ runs: 3, median, p99: median * 2, least: median / 2 });
const subject = (name: string, median: number, base: number) => ({
  name,
  summary: summary(median),
  ratio: median / base,
});
const row: MeasuredRow = {
  key: 'create',
  title: 'create to exit of `true`',
  unit: 'ms',
  subjects: [subject('C program', 2, 2), subject('runts', 3, 2), { name: 'crun', missing: 'not installed' }],
};
const report: Report = {
  machine: 'a machine',
  who: 'root',
  runs: 3,
  noise: { medianMs: 0.8, spread: 1.05 },
  rows: [row],
};

test('the table says who was measured where, and how steady the machine was', () => {
  expect(textTable(report)).toMatchInlineSnapshot(`
    "a machine; root; 3 runs
    noise: a fixed loop took 0.80 ms, its ninth decile 1.05× its first

    create to exit of \`true\`   median  99th percentile    least  ratio
      C program               2.00 ms          4.00 ms  1.00 ms  1.00×
      runts                   3.00 ms          6.00 ms  1.50 ms  1.50×
      crun                                                              not installed
    "
  `);
});

test('what is worse by more than a quarter than what was kept is marked, and what is not is not', () => {
  const kept = (ratio: number) => ({ root: { create: { runts: ratio } } });
  expect(changesSince(kept(1.3), report)).toEqual([
    { row: 'create', subject: 'runts', before: 1.3, now: 1.5, worse: false },
  ]);
  const changes = changesSince(kept(1.1), report);
  expect(changes).toMatchObject([{ worse: true }]);
  expect(textTable(report, changes)).toContain('worse: was 1.10×');
});

test('what was kept of another user, or not at all, is compared with nothing', () => {
  expect(changesSince({ 'ordinary user': { create: { runts: 1 } } }, report)).toEqual([]);
  expect(changesSince({}, report)).toEqual([]);
});

test('a report replaces the ratios of its own rows, and keeps those of others', () => {
  const before = { root: { exec: { runts: 2 }, create: { runts: 9 } }, 'ordinary user': { create: { runts: 4 } } };
  expect(withReport(before, report)).toEqual({
    root: { exec: { runts: 2 }, create: { runts: 1.5 } },
    'ordinary user': { create: { runts: 4 } },
  });
});

test('numbers have three digits that count, and their unit', () => {
  expect([0.0412, 0.5, 2.345, 12.34, 123.4].map((ms) => withUnit(ms, 'ms'))).toEqual([
    '0.041 ms',
    '0.50 ms',
    '2.35 ms',
    '12.3 ms',
    '123 ms',
  ]);
  expect(withUnit(62_560, 'bytes')).toBe('61.1 KiB');
  expect(withUnit(4096, 'KiB')).toBe('4.00 MiB');
});

test('the table of a page has a line for each contender', () => {
  expect(markdownTable([row])).toMatchInlineSnapshot(`
    "| | median | 99th percentile | ratio |
    |---|---:|---:|---:|
    | **create to exit of \`true\`** |  | | |
    | C program | 2.00 ms | 4.00 ms | 1.00× |
    | runts | 3.00 ms | 6.00 ms | 1.50× |
    | crun | not installed | | |"
  `);
});

test('the plot is an SVG whose bars are as long as the medians, for light and dark pages', () => {
  const svg = plot([row]);
  expect(svg).toMatch(/^<svg xmlns="http:\/\/www.w3.org\/2000\/svg"/);
  expect(svg).toContain('prefers-color-scheme: dark');
  const bars = [...svg.matchAll(/class="(\w+)" x="\d+" y="\d+" width="([\d.]+)"/g)].map(([, kind, width]) => [
    kind,
    Number(width),
  ]);
  expect(bars).toEqual([
    ['limit', expect.closeTo(286.7, 0)],
    ['runts', 430],
  ]);
});

test('names in a plot are text, whatever is in them', () => {
  const odd = { ...row, title: 'a < b & "c"', subjects: [subject('<script>', 1, 1)] };
  expect(plot([odd])).not.toContain('<script>');
  expect(plot([odd])).toContain('a &lt; b &amp; &quot;c&quot;');
});

test('a table takes the place of the one before, and nothing else changes', () => {
  const page = 'before\n<!-- bench: begin -->\nold\n<!-- bench: end -->\nafter\n';
  expect(between(page, 'new')).toBe('before\n<!-- bench: begin -->\nnew\n<!-- bench: end -->\nafter\n');
  expect(() => between('no marks', 'new')).toThrow('bench: begin');
});
