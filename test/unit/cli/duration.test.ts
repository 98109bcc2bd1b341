import { expect, test } from 'vitest';
import { durationMs } from '../../../lib/cli/duration.ts';

test.each([
  ['5s', 5000],
  ['100ms', 100],
  ['1m30s', 90_000],
  ['1.5h', 5_400_000],
  ['.5s', 500],
  ['250us', 0.25],
  ['+2s', 2000],
])('%s is %d ms', (text, ms) => {
  expect(durationMs(text)).toBeCloseTo(ms, 9);
});

test.each(['', '5', 's', '-1s', '0s', '5 s', '1d', '1.2.3s', 'Infinitys', `${'9'.repeat(400)}h`])(
  '%j is none',
  (text) => {
    expect(durationMs(text)).toBeUndefined();
  },
);
