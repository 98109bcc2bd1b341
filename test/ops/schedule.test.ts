import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { Op } from '../../lib/program/ops.ts';
import { fail, isolated, op, output, succeed } from '../support/ops.ts';
import { testIf } from '../support/requires.ts';

const busybox = testIf('busybox');
const asRoot = testIf('root');
const [other, fifo, roundRobin, batch, idle] = [0, 1, 2, 3, 5];

const scheduler = (policy: number, wanted: Partial<Record<string, number | bigint>> = {}) =>
  op('scheduler', { policy, flags: 0, nice: 0, priority: 0, runtime: 0, deadline: 0, period: 0, ...wanted });
const int32 = (value: number) => value >>> 0;

/** Fields of /proc/PID/stat of an init after some ops: nice, real-time priority, policy. */
async function scheduled(ops: readonly Op[]) {
  let fields: number[] = [];
  await succeed([...ops, op('sync', { tag: 1 })], {
    at: (_, { session }) => {
      const stat = readFileSync(`/proc/${session.pid}/stat`, 'utf8')
        .replace(/^.*\) /, '')
        .split(' ');
      fields = [16, 37, 38].map((field) => Number(stat[field]));
    },
  });
  const [nice, priority, policy] = fields;
  return { nice, priority, policy };
}

describe('scheduler', () => {
  test('sets policy and nice', async () => {
    expect(await scheduled([scheduler(batch, { nice: 7 })])).toEqual({ nice: 7, priority: 0, policy: batch });
    expect(await scheduled([scheduler(idle)])).toMatchObject({ policy: idle });
  });

  asRoot('sets a negative nice, and real-time priorities', async () => {
    expect(await scheduled([scheduler(other, { nice: int32(-11) })])).toMatchObject({ nice: -11, policy: other });
    expect(await scheduled([scheduler(fifo, { priority: 42 })])).toMatchObject({ priority: 42, policy: fifo });
    expect(await scheduled([scheduler(roundRobin, { priority: 1, flags: 1 })])).toMatchObject({ policy: roundRobin });
  });

  test('says what the kernel does not accept, and what takes privileges', async () => {
    expect(await fail([scheduler(4)])).toBe('scheduler sched_setattr EINVAL');
    expect(await fail([scheduler(fifo)])).toBe('scheduler sched_setattr EINVAL');
    expect(await fail([scheduler(6, { runtime: 1n << 63n, deadline: 1, period: 1 })])).toBe(
      'scheduler sched_setattr EINVAL',
    );
    const limits = op('rlimit', { resource: 13, soft: 0, hard: 0 });
    const dropped = op('capabilities', { effective: 0, permitted: 0, inheritable: 0, ambient: 0 });
    expect(await fail([limits, dropped, scheduler(fifo, { priority: 1 })])).toBe('scheduler sched_setattr EPERM');
  });
});

busybox('io_priority is the command’s', async () => {
  const { text } = await output([op('io_priority', { class: 3, priority: 0 })], ['ionice']);
  expect(text).toMatch(/^idle/);
  const effort = await output([op('io_priority', { class: 2, priority: 6 })], ['ionice']);
  expect(effort.text).toBe('best-effort: prio 6\n');
  expect(await fail([op('io_priority', { class: 0, priority: 3 })])).toBe('io_priority ioprio_set EINVAL');
});

busybox('affinity binds to processors', async () => {
  const list = ['sh', '-c', 'grep Cpus_allowed_list /proc/self/status'];
  const { text } = await output([op('affinity', { cpus: Uint8Array.of(1) })], list);
  expect(text).toBe('Cpus_allowed_list:\t0\n');
  // More than the machine has is fine as long as one is there.
  const wide = await output([op('affinity', { cpus: new Uint8Array(200).fill(1) })], list);
  expect(wide.text).toMatch(/^Cpus_allowed_list:\t0/);
  expect(await fail([op('affinity', { cpus: new Uint8Array(8) })])).toBe('affinity sched_setaffinity EINVAL');
  expect(await fail([op('affinity', { cpus: new Uint8Array(0) })])).toBe('affinity sched_setaffinity EINVAL');
});

busybox('personality is the command’s, and overwrites the one before', async () => {
  const noRandomization = 0x0040000;
  const read = (...ops: Op[]) => output(ops, ['cat', '/proc/self/personality']);
  const persona = (number: number) => op('personality', { persona: number });
  expect((await read(persona(noRandomization))).text).toBe('00040000\n');
  expect((await read(persona(noRandomization), persona(0))).text).toBe('00000000\n');
  if (process.arch === 'x64') expect((await output([persona(8)], ['uname', '-m'])).text).toBe('i686\n');
});

describe('memory_policy', () => {
  const [preferred, bind] = [1, 2];
  const policy = (mode: number, ...nodes: number[]) => op('memory_policy', { mode, nodes: Uint8Array.from(nodes) });
  const maps = ['sh', '-c', 'grep -m1 stack /proc/self/numa_maps'];

  testIf('busybox', 'numa')('binds memory to nodes', async () => {
    expect((await output([policy(bind, 1)], maps)).text).toMatch(/ bind(=static|=relative)?:0 /);
    expect((await output([policy(preferred, 1)], maps)).text).toMatch(/ prefer:0 /);
    expect((await output([policy(bind, 1), policy(0)], maps)).text).toMatch(/ default /);
  });

  testIf('numa')('refuses nodes that are not there, and more than there can be', async () => {
    const refused = 'memory_policy set_mempolicy EINVAL';
    expect(await fail([policy(bind, 0, 0, 0, 0, 0, 0, 0, 0x80)])).toBe(refused);
    expect(await fail([policy(bind)])).toBe(refused);
    expect(await fail([policy(99)])).toBe(refused);
    expect(await fail([policy(bind, ...Array<number>(129).fill(1))])).toBe(refused);
  });
});

testIf('userns')('what root of a user namespace may not do is said', async () => {
  if (process.getuid?.() === 0) return;
  const flags = isolated.user;
  expect(await fail([scheduler(fifo, { priority: 1 })], { flags })).toBe('scheduler sched_setattr EPERM');
  expect(await fail([op('io_priority', { class: 1, priority: 0 })], { flags })).toBe('io_priority ioprio_set EPERM');
});
