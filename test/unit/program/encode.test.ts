import { expect, test } from 'vitest';
import { RuntsError } from '../../../lib/errors.ts';
import { Builder } from '../../../lib/program/builder.ts';
import { decode } from '../../../lib/program/decode.ts';
import { type EncodeOptions, encode } from '../../../lib/program/encode.ts';
import { limits } from '../../../lib/program/limits.ts';
import type { Op } from '../../../lib/program/ops.ts';
import { verify } from '../../../lib/program/verify.ts';

const op = (name: string, operands: object = {}, more: object = {}): Op =>
  ({ op: name, operands, origin: '/here', ...more }) as unknown as Op;
const halt = op('halt');
const one = (...ops: Op[]) => ({ inputs: ['in'], ops });

function refusal(ops: Op[], options?: EncodeOptions): { code: string; message: string; origin: string | undefined } {
  try {
    encode(one(...ops), options);
  } catch (error) {
    if (RuntsError.is(error)) return { code: error.code, message: error.message, origin: error.origin };
    throw error;
  }
  throw new Error('it was encoded');
}

test.each([
  [
    'a NUL in an argument',
    op('exec', { files: [], argv: ['a\0b'], env: [] }),
    'argv has a NUL character in "a\\u0000b"',
  ],
  ['a NUL in a path', op('chdir', { path: '/a\0' }), 'path has a NUL character'],
  ['a number over its limit', op('umask', { mask: 0o1000 }), 'mask is 512, with a limit of 511'],
  ['a number over 32 bits', op('sync', { tag: 2 ** 32 }), 'tag is 4294967296, with a limit of 4294967295'],
  ['a negative number', op('sync', { tag: -1 }), 'tag is -1'],
  ['a negative bigint', op('sync', { tag: -1n }), 'tag is -1'],
  ['a bigint over 64 bits', op('rlimit', { resource: 1, soft: 1n << 64n, hard: 0 }), 'soft is 18446744073709551616'],
  ['a fraction', op('sync', { tag: 0.5 }), 'tag is 0.5'],
  ['an unsafe number', op('rlimit', { resource: 1, soft: 2 ** 53, hard: 0 }), 'soft is 9007199254740992'],
  ['NaN', op('sync', { tag: Number.NaN }), 'tag is NaN'],
  ['flags outside their mask', op('unshare', { flags: 1 }), 'bits outside 0x7e020080'],
])('%s is refused, with its origin', (_, bad, message) => {
  const { code, message: said, origin } = refusal([bad, ...(bad.op === 'exec' ? [] : [halt])]);
  expect({ code, origin }).toEqual({ code: 'ERR_SPEC', origin: '/here' });
  expect(said).toContain(message);
});

const guarded = (name: string, operands: object, unless: readonly string[], skip: number) =>
  op(name, operands, { unless, skip });
const umask = op('umask', { mask: 0 });

test.each<[string, Op[], string]>([
  ['an op that is not in the table', [op('nothing')], 'nothing is not in the table'],
  ['no end', [umask], 'is last but does not end'],
  ['an early end', [halt, halt], 'ends the program early'],
  ['a guard on the last op', [op('halt', {}, { unless: ['EPERM'] })], 'must not be passed over'],
  ['a missing operand', [op('chdir'), halt], 'has no text in path'],
  ['a register that nothing filled', [op('enter', { dir: 'x' }), halt], 'uses register x in dir, which nothing filled'],
  [
    'a register of the op itself',
    [op('open_below', { dst: 'x', root: 'x', path: '', directory: 0 }), halt],
    'uses register x',
  ],
  ['a register that is filled', [op('open', { dst: 'in', path: '/' }), halt], 'fills register in again'],
  [
    'one register for two operands',
    [op('pty', { master: 'x', slave: 'x', devpts: 'in' }), halt],
    'fills register x again',
  ],
  ['a skip of 16', [guarded('umask', { mask: 0 }, ['EPERM'], 16), halt], 'skips 16 ops'],
  ['a skip past the end', [guarded('umask', { mask: 0 }, ['EPERM'], 1), halt], 'past the last one'],
  ['a skip without unless', [op('umask', { mask: 0 }, { skip: 1 }), umask, halt], 'without `unless`'],
  ['an empty unless', [guarded('umask', { mask: 0 }, [], 0), halt], 'has 0 errnos'],
  ['an errno that does not exist', [guarded('umask', { mask: 0 }, ['EFOO'], 0), halt], 'EFOO is not the name'],
  [
    'a guarded barrier',
    [op('sync', { tag: 1 }, { unless: ['EPERM'] }), halt],
    'is a barrier and must not be passed over',
  ],
  ['a skip over a barrier', [guarded('umask', { mask: 0 }, ['EPERM'], 1), op('fork'), halt], 'skips over fork'],
])('%s is a bug', (_, ops, message) => {
  const { code, message: said } = refusal(ops);
  expect(code).toBe('ERR_INTERNAL');
  expect(said).toContain(message);
});

test('an alternative fills the register of what it replaces, and nothing else may', () => {
  const way = (skip: number) => guarded('open', { dst: 'x', path: '/' }, ['ENOENT'], skip);
  const last = op('open', { dst: 'x', path: '/' });
  const program = encode(one(way(2), way(1), last, op('enter', { dir: 'x' }), halt));
  expect(verify(program)).toBeUndefined();
  expect(decode(program).registers).toBe(2);
  expect(refusal([way(0), last, halt]).message).toContain('fills register x again');
  expect(refusal([way(1), way(0), last, halt]).message).toContain('fills register x again');
});

test('limits are errors that name them', () => {
  const many = (count: number, make: (i: number) => Op) => Array.from({ length: count }, (_, i) => make(i));
  expect(refusal([...many(limits.opsMax, () => umask), halt]).message).toContain('more than 4096 ops');
  const open = (i: number) => op('open', { dst: `r${i}`, path: '/' });
  expect(refusal([...many(limits.registersMax, open), halt]).message).toContain('more than 512 registers');
  expect(verify(encode(one(...many(limits.registersMax - 1, open), halt)))).toBeUndefined();
  const big = op('file', { root: 'in', path: 'a', mode: 0, content: new Uint8Array(limits.programBytesMax) });
  expect(refusal([big, halt])).toMatchObject({ code: 'ERR_SPEC', origin: '/here' });
  expect(() => encode({ inputs: many(254, (i) => `i${i}` as never) as never, ops: [halt] })).toThrow('254 inputs');
  expect(() => encode({ inputs: ['a', 'a'], ops: [halt] })).toThrow('same name');
  expect(() => encode({ inputs: [], ops: [] })).toThrow('without ops');
});

test('a program may be as big as the limit, and no bigger', () => {
  const file = (length: number) => op('file', { root: 'in', path: 'a', mode: 0, content: new Uint8Array(length) });
  const overhead = encode(one(file(8), halt)).length - 8;
  const room = limits.programBytesMax - overhead;
  const largest = encode(one(file(room), halt));
  expect(largest.length).toBe(limits.programBytesMax);
  expect(verify(largest)).toBeUndefined();
  expect(refusal([file(room + 8), halt]).message).toContain('over 4194304 bytes');
});

test('a string that is used twice is stored once', () => {
  const twice = encode(one(op('chdir', { path: '/a/long/path' }), op('chdir', { path: '/a/long/path' }), halt));
  const once = encode(one(op('chdir', { path: '/a/long/path' }), halt));
  expect(twice.length - once.length).toBe(64);
});

test('text is UTF-8, and a mutilated character becomes U+FFFD', () => {
  const text = (path: string) => decode(encode(one(op('chdir', { path }), halt))).ops[0]!.operands['path'];
  expect(text('/größe/🦆')).toBe('/größe/🦆');
  expect(text('/a\ud800')).toBe('/a\ufffd');
});

test('the failure of an op can be ordered, within the program', () => {
  expect(decode(encode(one(umask, halt), { failAt: 1, failErrno: 13 }))).toMatchObject({ failAt: 1, failErrno: 13 });
  expect(() => encode(one(halt), { failAt: 1 })).toThrow('failAt 1 is not an op');
  expect(() => encode(one(halt), { failAt: 0, failErrno: 4096 })).toThrow('failErrno 4096');
});

test('a hundred ops are encoded in a fraction of a millisecond', () => {
  const p = new Builder();
  p.input('root');
  for (let i = 0; i < 24; i++) {
    const dst = p.register('mount');
    p.op('fsmount', { dst, fstype: 'tmpfs', options: ['mode=755', `size=${i}k`], attributes: 7 }, '/mounts', {
      unless: ['EPERM', 'EBUSY'],
      skip: 1,
    });
    p.op('clone_mount', { dst, path: `/some/where/${i}`, recursive: 1 }, '/mounts');
    p.op('attach', { src: dst, root: 'root', path: `/mnt/${i}`, ordinary: 1 }, '/mounts');
    p.op('chown', { root: 'root', path: `/mnt/${i}`, uid: 0, gid: 0 }, '/mounts');
  }
  const env = Array.from({ length: 30 }, (_, i) => `VARIABLE_${i}=a value of some length ${i}`);
  p.op('exec', { files: ['/bin/sh'], argv: ['sh', '-c', 'true'], env }, '/process');
  const segment = p.segment();
  const times = Array.from({ length: 500 }, () => {
    const start = process.hrtime.bigint();
    encode(segment);
    return Number(process.hrtime.bigint() - start) / 1000;
  });
  const sorted = times.slice().sort((a, b) => a - b);
  console.log(
    `encode, ${segment.ops.length} ops, ${encode(segment).length} bytes: first ${times[0]!.toFixed(0)} us, ` +
      `median ${sorted[250]!.toFixed(0)} us, least ${sorted[0]!.toFixed(0)} us`,
  );
  expect(verify(encode(segment))).toBeUndefined();
});
