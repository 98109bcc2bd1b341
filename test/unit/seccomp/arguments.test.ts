import { describe, expect, test } from 'vitest';
import { decide } from '../../../lib/seccomp/arguments.ts';
import { assemble } from '../../../lib/seccomp/bpf.ts';
import { type Condition, type Operator, operators } from '../../../lib/seccomp/profile.ts';
import { run, simulate } from '../../support/bpf.ts';

const top = 0xffffffffffffffffn;
const boundaries = [
  0n,
  1n,
  2n,
  0x7fffffffn,
  0x80000000n,
  0x80000001n,
  0xfffffffen,
  0xffffffffn,
  0x100000000n,
  0x100000001n,
  0x1ffffffffn,
  0x200000000n,
  0x7fffffffffffffffn,
  0x8000000000000000n,
  0x8000000000000001n,
  top - 1n,
  top,
];

const compares: Record<Exclude<Operator, 'SCMP_CMP_MASKED_EQ'>, (a: bigint, b: bigint) => boolean> = {
  SCMP_CMP_NE: (a, b) => a !== b,
  SCMP_CMP_LT: (a, b) => a < b,
  SCMP_CMP_LE: (a, b) => a <= b,
  SCMP_CMP_EQ: (a, b) => a === b,
  SCMP_CMP_GE: (a, b) => a >= b,
  SCMP_CMP_GT: (a, b) => a > b,
};

function verdict(conditions: readonly Condition[], args: readonly bigint[], wide: boolean): number {
  return simulate(assemble(decide([{ conditions, value: 1 }], 0, wide)), { arch: 0, nr: 0, args });
}

describe.each(operators.filter((op) => op !== 'SCMP_CMP_MASKED_EQ'))('%s', (op) => {
  test('compares all 64 bits, at every boundary', () => {
    for (const value of boundaries) {
      const filter = assemble(decide([{ conditions: [{ index: 3, op, value }], value: 1 }], 0, true));
      for (const arg of boundaries) {
        const actual = simulate(filter, { arch: 0, nr: 0, args: [7n, 7n, 7n, arg, 7n, 7n] });
        expect(`${arg} ${op} ${value}: ${actual}`).toBe(`${arg} ${op} ${value}: ${Number(compares[op](arg, value))}`);
      }
    }
  });

  test('compares the low halves where registers have 32 bits', () => {
    for (const value of boundaries) {
      for (const arg of boundaries) {
        const expected = Number(compares[op](BigInt.asUintN(32, arg), BigInt.asUintN(32, value)));
        expect(`${arg} ${op} ${value}: ${verdict([{ index: 0, op, value }], [arg], false)}`).toBe(
          `${arg} ${op} ${value}: ${expected}`,
        );
      }
    }
  });
});

describe('SCMP_CMP_MASKED_EQ', () => {
  const masks = [0n, 1n, 0x7e020000n, 0xffffffffn, 0x100000000n, 0xff00000000n, 0x8000000000000001n, top];

  test.each([true, false])('compares the bits of the mask only (wide: %s)', (wide) => {
    const seen = (n: bigint) => (wide ? n : BigInt.asUintN(32, n));
    for (const value of masks) {
      for (const valueTwo of boundaries) {
        const condition: Condition = { index: 1, op: 'SCMP_CMP_MASKED_EQ', value, valueTwo };
        for (const arg of boundaries) {
          const expected = Number((seen(arg) & seen(value)) === (seen(valueTwo) & seen(value)));
          expect(`${arg} & ${value} == ${valueTwo}: ${verdict([condition], [0n, arg], wide)}`).toBe(
            `${arg} & ${value} == ${valueTwo}: ${expected}`,
          );
        }
      }
    }
  });

  test('compares with 0 when there is no valueTwo', () => {
    const condition: Condition = { index: 0, op: 'SCMP_CMP_MASKED_EQ', value: 6 };
    expect(verdict([condition], [9n], true)).toBe(1);
    expect(verdict([condition], [4n], true)).toBe(0);
  });
});

test('all conditions of an alternative must hold', () => {
  const conditions: Condition[] = [
    { index: 0, op: 'SCMP_CMP_EQ', value: 2 },
    { index: 1, op: 'SCMP_CMP_GE', value: 10 },
    { index: 2, op: 'SCMP_CMP_MASKED_EQ', value: 3, valueTwo: 1 },
  ];
  expect(verdict(conditions, [2n, 10n, 5n], true)).toBe(1);
  expect(verdict(conditions, [3n, 10n, 5n], true)).toBe(0);
  expect(verdict(conditions, [2n, 9n, 5n], true)).toBe(0);
  expect(verdict(conditions, [2n, 10n, 7n], true)).toBe(0);
});

test('the first alternative that holds decides', () => {
  const alternatives = [
    { conditions: [{ index: 0, op: 'SCMP_CMP_LT', value: 10 } as const], value: 1 },
    { conditions: [{ index: 0, op: 'SCMP_CMP_LT', value: 20 } as const], value: 2 },
  ];
  const [one, two] = [decide(alternatives, 0, true), decide([...alternatives].reverse(), 0, true)].map(assemble);
  expect([5n, 15n, 25n].map((arg) => simulate(one!, { arch: 0, nr: 0, args: [arg] }))).toEqual([1, 2, 0]);
  expect([5n, 15n, 25n].map((arg) => simulate(two!, { arch: 0, nr: 0, args: [arg] }))).toEqual([2, 2, 0]);
});

test('a long list of values of one argument is searched, not walked', () => {
  const values = Array.from({ length: 200 }, (_, i) => 3 * i);
  const alternatives = values.map((value) => ({
    conditions: [{ index: 0, op: 'SCMP_CMP_EQ', value } as const],
    value: 1,
  }));
  const filter = assemble(decide(alternatives, 0, true));
  for (let arg = 0n; arg < 600n; arg++) {
    const { value, steps } = run(filter, { arch: 0, nr: 0, args: [arg] });
    expect(value).toBe(arg % 3n === 0n ? 1 : 0);
    expect(steps).toBeLessThanOrEqual(14);
  }
  expect(simulate(filter, { arch: 0, nr: 0, args: [0x100000000n] })).toBe(0);
});
