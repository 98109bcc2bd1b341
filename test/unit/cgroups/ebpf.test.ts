import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { deviceProgram } from '../../../lib/cgroups/ebpf.ts';
import type { DeviceRule } from '../../../lib/spec/types.ts';
import { runs } from '../../properties/runs.ts';

interface Asked {
  readonly type: 'b' | 'c';
  readonly access: string;
  readonly major: number;
  readonly minor: number;
}

const bits = (access: string) => [...access].reduce((sum, letter) => sum | ({ m: 1, r: 2, w: 4 }[letter] ?? 0), 0);

/** Runs a program of the few instructions that it may have: what the kernel would answer. */
function run(program: Uint8Array, asked: Asked): boolean {
  const view = new DataView(program.buffer);
  const context = [(bits(asked.access) << 16) | (asked.type === 'b' ? 1 : 2), asked.major, asked.minor];
  const registers: number[] = new Array(11).fill(0);
  for (let at = 0; ; at++) {
    const [code, who] = [view.getUint8(at * 8), view.getUint8(at * 8 + 1)];
    const [offset, value] = [view.getInt16(at * 8 + 2, true), view.getInt32(at * 8 + 4, true)];
    const [dst, src] = [who & 15, who >> 4];
    const is = registers[dst] as number;
    if (code === 0x61) registers[dst] = context[offset / 4] as number;
    else if (code === 0xbf) registers[dst] = registers[src] as number;
    else if (code === 0xb7) registers[dst] = value;
    else if (code === 0x54) registers[dst] = (is & value) >>> 0;
    else if (code === 0x74) registers[dst] = is >>> value;
    else if (code === 0x95) return registers[0] === 1;
    else if (
      code === 0x05 ||
      ((code === 0x55 || code === 0x56) && is >>> 0 !== value >>> 0) ||
      (code === 0x45 && is & value)
    ) {
      at += offset;
    } else if (![0x55, 0x56, 0x45].includes(code)) throw new Error(`instruction ${code.toString(16)}`);
  }
}

/** What the rules mean, said the plain way: each access by itself, by the last rule that fits. */
function means(rules: readonly DeviceRule[], { type, access, major, minor }: Asked): boolean {
  return [...access].every((letter) => {
    const fitting = rules.filter(
      (rule) =>
        (rule.type === undefined || rule.type === 'a' || rule.type === type || (rule.type === 'u' && type === 'c')) &&
        (rule.major === undefined || rule.major === -1 || rule.major === major) &&
        (rule.minor === undefined || rule.minor === -1 || rule.minor === minor) &&
        (rule.access ?? 'rwm').includes(letter),
    );
    return fitting[fitting.length - 1]?.allow === true;
  });
}

const number = fc.constantFrom(undefined, -1, 0, 1, 5, 0xffff_ffff);
const rule = fc.record<DeviceRule>({
  allow: fc.boolean(),
  type: fc.constantFrom(undefined, 'a', 'b', 'c', 'u'),
  major: number,
  minor: number,
  access: fc.constantFrom(undefined, 'r', 'w', 'm', 'rw', 'wm', 'rwm'),
});
const asked = fc.record<Asked>({
  type: fc.constantFrom('b', 'c'),
  access: fc.constantFrom('r', 'w', 'm', 'rw'),
  major: fc.constantFrom(0, 1, 5, 0xffff_ffff),
  minor: fc.constantFrom(0, 1, 5),
});

describe('a device program', () => {
  test('without rules, nothing is allowed', () => {
    expect(run(deviceProgram([]), { type: 'c', access: 'r', major: 1, minor: 3 })).toBe(false);
  });

  test('two rules that allow reading and writing allow both at once', () => {
    const device = { type: 'c', major: 1, minor: 3, allow: true };
    const program = deviceProgram([
      { ...device, access: 'r' },
      { ...device, access: 'w' },
    ]);
    expect(run(program, { type: 'c', access: 'rw', major: 1, minor: 3 })).toBe(true);
    expect(run(program, { type: 'c', access: 'm', major: 1, minor: 3 })).toBe(false);
  });

  test('answers as the rules say, whatever they are', () => {
    fc.assert(
      fc.property(fc.array(rule, { maxLength: 8 }), asked, (rules, what) => {
        expect(run(deviceProgram(rules), what)).toBe(means(rules, what));
      }),
      runs(2000),
    );
  });
});
