import { expect, test } from 'vitest';
import { compare, measureRow, orderOf } from '../../../bench/measure.ts';
import type { Row, Subject } from '../../../bench/row.ts';
import type { World } from '../../../bench/world.ts';

const quiet = (runs: number) => ({ runs, noise: async () => {} }) as World;

/** A contender that gives the numbers of a list in turn, and notes that it was asked. */
function giving(
  name: string,
  values: readonly number[],
  asked: string[],
  options: Pick<Subject, 'every' | 'missing'> = {},
): Subject {
  let turn = 0;
  const once = async () => {
    asked.push(name);
    return values[turn++ % values.length]!;
  };
  return { ...options, name, once };
}

test('contenders take turns, and what the first rounds give does not count', async () => {
  const asked: string[] = [];
  const subjects = [giving('a', [99, 99, 99, 1, 2], asked), giving('b', [4], asked)];
  const row: Row = { key: 'k', title: 't', subjects: () => subjects };
  const measured = await measureRow(row, quiet(2));
  expect(asked.join('')).toBe('abbaabbaab');
  expect(measured.subjects).toMatchObject([
    { name: 'a', summary: { runs: 2, median: 1.5 }, ratio: 1 },
    { name: 'b', summary: { runs: 2, median: 4 }, ratio: 4 / 1.5 },
  ]);
});

test.each([2, 3, 6, 7])(
  'of %i contenders each comes right after each other one, and at each place, as often as any',
  (count) => {
    const rounds = count % 2 === 0 ? count : 2 * count;
    const after = new Map<string, number>();
    const places = new Map<string, number>();
    const add = (counts: Map<string, number>, key: string) => counts.set(key, (counts.get(key) ?? 0) + 1);
    for (let round = 0; round < rounds; round++) {
      const order = orderOf(count, round);
      expect([...order].sort()).toEqual(Array.from({ length: count }, (_, i) => i));
      for (const [place, one] of order.entries()) {
        add(places, `${one} at ${place}`);
        if (place > 0) add(after, `${one} after ${order[place - 1]}`);
      }
    }
    expect([places.size, new Set(places.values())]).toEqual([count * count, new Set([rounds / count])]);
    expect([after.size, new Set(after.values())]).toEqual([count * (count - 1), new Set([rounds / count])]);
  },
);

test('a contender that takes long takes part less often', async () => {
  const asked: string[] = [];
  const row: Row = {
    key: 'k',
    title: 't',
    subjects: () => [giving('a', [1], asked), giving('slow', [1], asked, { every: 10 })],
  };
  const measured = await measureRow(row, quiet(20));
  expect(measured.subjects.map(({ summary }) => summary?.runs)).toEqual([20, 2]);
});

test('one that is missing is told with the reason, and never asked', async () => {
  const asked: string[] = [];
  const gone = giving('gone', [1], asked, { missing: 'not installed' });
  const row: Row = { key: 'k', title: 't', subjects: () => [giving('a', [1], asked), gone] };
  const measured = await measureRow(row, quiet(1));
  expect(asked).not.toContain('gone');
  expect(measured.subjects[1]).toEqual({
    name: 'gone',
    missing: 'not installed',
    summary: undefined,
    ratio: undefined,
  });
});

test('contenders are released also when one of them fails', async () => {
  let closed = 0;
  const close = (): void => {
    closed++;
  };
  const failing: Subject = {
    name: 'a',
    once: async (): Promise<void> => {
      throw new Error('no');
    },
    close,
  };
  await expect(measureRow({ key: 'k', title: 't', subjects: () => [failing] }, quiet(1))).rejects.toThrow('no');
  expect(closed).toBe(1);
});

test('of rates more is better: the ratio is how many times as little', () => {
  const names = [{ name: 'a' }, { name: 'b' }];
  expect(compare(names, [[1000], [250]], '/s')[1]?.ratio).toBe(4);
  expect(compare(names, [[1000], [250]], 'ms')[1]?.ratio).toBe(0.25);
});
