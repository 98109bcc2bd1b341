import { describe, expect, test } from 'vitest';
import {
  resetAffinity,
  setAffinity,
  setFirstAffinity,
  setMemoryPolicy,
  setPersonality,
  setScheduling,
} from '../../../lib/process/schedule.ts';
import { Builder } from '../../../lib/program/builder.ts';
import { bitMask } from '../../../lib/spec/bit-mask.ts';
import type { MemoryPolicy, Process } from '../../../lib/spec/types.ts';

/** The ops that a policy gives, by name and operands. */
function ops(policy: (builder: Builder) => void) {
  const builder = new Builder();
  policy(builder);
  return builder.segment().ops.map(({ op, operands }) => [op, operands]);
}

const process = (more: Partial<Process>): Process => ({ user: { uid: 0, gid: 0 }, args: ['x'], cwd: '/', ...more });

describe('a list of numbers', () => {
  test.each([
    ['0-3,7', [0x8f]],
    ['0', [1]],
    ['8', [0, 1]],
    ['0-7:1/2', [0x55]],
    ['', []],
  ])('%s as bits, lowest byte first', (list, bytes) => {
    expect([...bitMask(list, '/x')]).toEqual(bytes);
  });

  test.each(['3-1', '99999', 'x', '0-3:3/2'])('%s is refused, and no memory is spent on it', (list) => {
    expect(() => bitMask(list, '/x')).toThrow(expect.objectContaining({ code: 'ERR_SPEC', origin: '/x' }));
  });
});

test('a scheduling policy in the numbers of the kernel', () => {
  const scheduler = { policy: 'SCHED_BATCH', nice: -5, flags: ['SCHED_FLAG_RESET_ON_FORK', 'SCHED_FLAG_KEEP_PARAMS'] };
  const rest = { priority: 0, runtime: 0, deadline: 0, period: 0 };
  expect(ops((b) => setScheduling(b, process({ scheduler })))).toEqual([
    ['scheduler', { policy: 3, flags: 0x11, nice: 0xfffffffb, ...rest }],
  ]);
  const ioPriority = { class: 'IOPRIO_CLASS_IDLE', priority: 7 };
  expect(ops((b) => setScheduling(b, process({ ioPriority })))).toEqual([['io_priority', { class: 3, priority: 7 }]]);
  expect(() => ops((b) => setScheduling(b, process({ scheduler: { policy: 'SCHED_X' } })))).toThrow('SCHED_X');
});

test('another execution domain', () => {
  expect(ops((b) => setPersonality(b, { domain: 'LINUX32' }))).toEqual([['personality', { persona: 8 }]]);
  expect(ops((b) => setPersonality(b, undefined))).toEqual([]);
});

describe('a memory policy', () => {
  const policy = (asked: MemoryPolicy) => ops((b) => setMemoryPolicy(b, asked));

  test('is its mode, with its flags, and its nodes', () => {
    const asked = { mode: 'MPOL_BIND', nodes: '0-1', flags: ['MPOL_F_STATIC_NODES'] };
    expect(policy(asked)).toEqual([['memory_policy', { mode: 0x8002, nodes: new Uint8Array([3]) }]]);
  });

  test.each([
    [{ mode: 'MPOL_DEFAULT', nodes: '0' }],
    [{ mode: 'MPOL_LOCAL', nodes: '0' }],
    [{ mode: 'MPOL_INTERLEAVE', nodes: '' }],
    [{ mode: 'MPOL_BIND' }],
  ])('has nodes where its mode wants some, and none where not: %j', (asked) => {
    expect(() => policy(asked)).toThrow(expect.objectContaining({ origin: '/linux/memoryPolicy/nodes' }));
  });

  test('that prefers no node in particular prefers the nearest', () => {
    expect(policy({ mode: 'MPOL_PREFERRED' })).toHaveLength(1);
  });
});

describe('processors', () => {
  const all = ops((b) => resetAffinity(b, '0-3'));

  test('are all that the cgroup has, where it has some of its own', () => {
    expect(all).toEqual([['affinity', { cpus: new Uint8Array(1024).fill(255) }]]);
    expect(ops((b) => resetAffinity(b, undefined))).toEqual([]);
    expect(ops((b) => resetAffinity(b, ''))).toEqual([]);
  });

  test('of a later command are those that it names, or those of the cgroup', () => {
    expect(ops((b) => setAffinity(b, '1', '0-3'))).toEqual([['affinity', { cpus: new Uint8Array([2]) }]]);
    expect(ops((b) => setAffinity(b, undefined, '0-3'))).toEqual(all);
  });

  test('at first may be none of the cgroup’s: then they stay what they were', () => {
    const builder = new Builder();
    setFirstAffinity(builder, '5');
    expect(builder.segment().ops[0]).toMatchObject({ op: 'affinity', unless: ['EINVAL'] });
  });
});
