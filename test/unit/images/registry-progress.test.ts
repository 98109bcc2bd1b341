import { expect, test } from 'vitest';
import { bytes, type Progress, ProgressBars, progressLines } from '../../../lib/images/transfer/progress.ts';

const a = `sha256:${'a'.repeat(64)}`;
const b = `sha256:${'b'.repeat(64)}`;
const news = (layer: string, phase: Progress['phase'], done = 0, total = 4_000_000): Progress => ({
  layer,
  phase,
  done,
  total,
});

test('without a terminal each change is a line, and bytes are none', () => {
  const line = progressLines();
  const text = [
    news(a, 'waiting'),
    news(a, 'downloading', 1),
    news(b, 'exists'),
    { ...news(a, 'retrying'), reason: 'cut', delayMs: 2100 },
    news(a, 'downloading', 2),
    news(a, 'done'),
    news(a, 'done'),
  ].map(line);
  expect(text.join('')).toBe(
    'bbbbbbbbbbbb: Already exists\naaaaaaaaaaaa: Retrying in 2 s (cut)\naaaaaaaaaaaa: Pull complete\n',
  );
});

test('on a terminal each blob has a line, written over, with a bar that fits', () => {
  let now = 0;
  const bars = new ProgressBars({ columns: () => 60, rows: () => 24, now: () => now });
  expect(bars.update(news(a, 'waiting'))).toBe('\x1b[2Kaaaaaaaaaaaa: Waiting\r\n');
  const both = bars.update(news(b, 'downloading', 1_000_000));
  expect(both).toContain('\x1b[1A\x1b[2Kaaaaaaaaaaaa: Waiting\r\n\x1b[2Kbbbbbbbbbbbb: Downloading [');
  expect(both).toContain('>');
  expect(both).toContain('] 1MB/4MB\r\n');
  expect(both.split('\r\n')[1]!.replace('\x1b[2K', '').length).toBeLessThan(60);
  // Bytes are shown ten times a second.
  expect(bars.update(news(b, 'downloading', 1_100_000))).toBe('');
  now = 150;
  expect(bars.update(news(b, 'downloading', 4_000_000))).toMatch(/\[=+\] 4MB\/4MB/);
  expect(bars.update(news(b, 'done', 4_000_000))).toContain('bbbbbbbbbbbb: Pull complete');
});

test('a terminal with fewer lines or columns than there are is not written past', () => {
  const bars = new ProgressBars({ columns: () => 20, rows: () => 3, now: () => 0 });
  for (let i = 0; i < 9; i++) bars.update(news(`sha256:${String(i).repeat(64)}`, 'waiting'));
  const drawn = bars.draw();
  expect(drawn.split('\r\n').slice(0, -1)).toHaveLength(2);
  expect(drawn.startsWith('\x1b[2A')).toBe(true);
});

test('bytes are shown as Docker shows them', () => {
  expect([0, 999, 1000, 12_345, 1_234_567, 5e9].map(bytes)).toEqual(['0B', '999B', '1kB', '12.35kB', '1.235MB', '5GB']);
});
