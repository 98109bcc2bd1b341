// The verifier in C++, which the init has, and the one in TypeScript, which documents it: the same first reason for all.
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { planContainer } from '../../lib/plan/container.ts';
import { keeperProgram, removalProgram } from '../../lib/plan/keeper.ts';
import { type Encodable, encode } from '../../lib/program/encode.ts';
import { opNames } from '../../lib/program/ops.ts';
import { verify } from '../../lib/program/verify.ts';
import { verifyProgram } from '../../lib/unsafe.ts';
import { facts, request } from '../plans/requests.ts';
import { halt, op } from '../support/ops.ts';

const golden = (name: string) => readFileSync(new URL(`goldens/${name}`, import.meta.url), 'utf8');
const small = () => new Uint8Array(Buffer.from(golden('small.hex').replaceAll('\n', ''), 'hex'));

test('both accept the small program', () => {
  expect(verifyProgram(small())).toBe(undefined);
  expect(verify(small())).toBe(undefined);
});

test.each(golden('refused.txt').trimEnd().split('\n'))('both refuse: %s', (line) => {
  const [op, reason, at, hex] = line.split(' ') as [string, string, string, string];
  const mutant = small();
  mutant.set(Buffer.from(hex, 'hex'), Number(at));
  expect(verifyProgram(mutant)).toEqual({ op: Number(op), reason });
  expect(verify(mutant)).toEqual({ op: Number(op), reason });
});

const filters = {
  filter: op('seccomp', { filter: new Uint8Array(8), flags: 0 }),
  listener: op('listener', { dst: 'l', filter: new Uint8Array(8), flags: 0 }),
};

test.each([
  ['filter', 'with'],
  ['filter', 'without'],
  ['listener', 'with'],
  ['listener', 'without'],
] as const)('both agree on what may run after a %s %s no_new_privs', (which, how) => {
  const start = how === 'with' ? [op('no_new_privs', {})] : [];
  const program = encode({ inputs: [], ops: [...start, filters[which], filters.filter, halt] });
  const second = 64 * (1 + start.length + 1);
  for (let code = 0; code <= opNames.length; code++) {
    const mutant = program.slice();
    new DataView(mutant.buffer).setUint16(second, code, true);
    expect(verifyProgram(mutant), opNames[code]).toEqual(verify(mutant));
  }
  const sends = op('send_handle', { src: which === 'filter' ? 'a' : 'l', tag: 1 });
  const sent = encode({ inputs: ['a'], ops: [...start, filters[which], sends, halt] });
  expect([verifyProgram(sent), verify(sent)]).toEqual([undefined, undefined]);
});

const programs: Readonly<Record<string, Encodable>> = {
  'of root': planContainer(request(), facts('root')).segment,
  rootless: planContainer(
    request(() => {}, { stdio: 'terminal', ownStdio: false }),
    facts('rootless'),
  ).segment,
  'on the host’s root': planContainer(
    request(() => {}, { root: { kind: 'host' } }),
    facts('single-id'),
  ).segment,
  'that is filtered early': planContainer(
    request((spec) => (spec.process.noNewPrivileges = false), { reap: false, deathSignal: true }),
    facts('root'),
  ).segment,
  'of a keeper': keeperProgram({ mapped: true }),
  'of a removal': removalProgram('cgroup', 'a'),
};

/** mulberry32: a sequence that is the same in every run. */
function sequence(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

const telling = [0, 1, 2, 3, 4, 7, 8, 15, 16, 0xff, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff];

/** One to three changes: a bit, a byte, a word that means something, an op in the place of another, a shorter end. */
function mutate(program: Uint8Array, random: (below: number) => number): Uint8Array {
  let mutant = program.slice();
  for (let changes = 1 + random(3); changes > 0; changes--) {
    const at = random(mutant.length);
    switch (random(6)) {
      case 0:
      case 1:
        mutant[at]! ^= 1 << random(8);
        break;
      case 2:
        mutant[at] = random(256);
        break;
      case 3: {
        const aligned = at & ~3;
        new DataView(mutant.buffer).setUint32(aligned, telling[random(telling.length)]!, true);
        break;
      }
      case 4: {
        const ops = new DataView(mutant.buffer).getUint32(20, true);
        const [from, to] = [64 + 64 * random(Math.min(ops, 4096)), 64 + 64 * random(Math.min(ops, 4096))];
        if (Math.max(from, to) + 64 <= mutant.length) mutant.copyWithin(to, from, from + 64);
        break;
      }
      default:
        if (random(20) === 0) mutant = mutant.slice(0, at);
    }
    if (mutant.length < 64) break;
  }
  return mutant;
}

describe.each(Object.entries(programs))('mutants of the program %s', (_name, segment) => {
  const program = encode(segment);

  test('the program itself passes both', () => {
    expect([verifyProgram(program), verify(program)]).toEqual([undefined, undefined]);
  });

  test('both find the same first reason', () => {
    const random = sequence(20261121);
    const reasons = new Map<string, number>();
    for (let i = 0; i < 10_000; i++) {
      const mutant = mutate(program, random);
      const native = verifyProgram(mutant);
      const ours = verify(mutant);
      if (native?.op !== ours?.op || native?.reason !== ours?.reason) {
        expect({ i, ...native }).toEqual({ i, ...ours });
      }
      const reason = ours?.reason ?? 'none';
      reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
    }
    // Or the mutants would ask for nothing.
    expect(reasons.size).toBeGreaterThan(8);
    expect(reasons.get('none')).toBeGreaterThan(100);
  });

  test('both refuse every beginning of it', () => {
    for (let length = 0; length < program.length; length += program.length > 4096 ? 37 : 1) {
      const start = program.slice(0, length);
      expect(verifyProgram(start)).toEqual(verify(start));
      expect(verify(start)).toBeDefined();
    }
  });
});
