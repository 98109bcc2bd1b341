import { constants, existsSync, mkdirSync, readFileSync, rmdirSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { openHandle } from '../../lib/node/handle.ts';
import { createHost } from '../../lib/node/host.ts';
import { type NativeLetter, native, type SpawnDone, type Spawned } from '../../lib/node/native.ts';
import { openStdio } from '../../lib/node/stdio.ts';
import { encode } from '../../lib/program/encode.ts';
import { segmentMessages } from '../../lib/program/frames.ts';
import type { Op } from '../../lib/program/ops.ts';
import * as unsafe from '../../lib/unsafe.ts';
import { can, testIf } from '../support/requires.ts';
import { halt, mapSelf, namespace, op, send } from './programs.ts';

const host = createHost();

/** A BPF filter under which one system call fails with an errno. */
function refusing(syscall: number, errno: number): Uint8Array {
  const filter = new Uint8Array(4 * 8);
  const view = new DataView(filter.buffer);
  const instructions = [
    [0x20, 0, 0, 0], // load the number of the call
    [0x15, 0, 1, syscall],
    [0x06, 0, 0, 0x00050000 | errno],
    [0x06, 0, 0, 0x7fff0000],
  ] as const;
  for (const [i, [code, yes, no, k]] of instructions.entries()) {
    view.setUint16(i * 8, code, true);
    view.setUint8(i * 8 + 2, yes);
    view.setUint8(i * 8 + 3, no);
    view.setUint32(i * 8 + 4, k, true);
  }
  return filter;
}

interface Surroundings {
  readonly flags?: number;
  readonly before: readonly Op[];
}

/** Runs a fixture in a process that an init made ready. */
async function fixture(name: string, { flags = 0, before }: Surroundings): Promise<unknown> {
  const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
  const argv = ['node', '--import', here('../support/typescript.mjs'), here(`fixtures/${name}.ts`)];
  const stdio = openStdio({ stdin: 'ignore', stdout: 'pipe', stderr: 'inherit' });
  const [stdin, stdout, stderr] = stdio.handles;
  const root = unsafe.open('/');
  const session = await host.processes.spawn({ flags });
  if (flags & namespace.user) await mapSelf(host, session.pid, host.environment);
  const ops = [
    op('stdio', { stdin: 'stdin', stdout: 'stdout', stderr: 'stderr' }),
    ...before,
    op('exec', { files: [process.execPath], argv, env: ['PATH=/usr/bin:/bin'] }),
  ];
  await send(session, ops, { inputs: { stdin, stdout, stderr, root } });
  for (const handle of [...stdio.handles, root]) handle.close();
  const output = await text(stdio.stdout!);
  expect(await session.exit).toEqual({ code: 0, signal: undefined });
  return JSON.parse(output.trim().split('\n').at(-1) ?? 'null');
}

const fixtureUnder = (filter: Uint8Array, name: string) =>
  fixture(name, { before: [op('no_new_privs', {}), op('seccomp', { filter, flags: 0n })] });

const clone3 = 435;
const execveat = process.arch === 'x64' ? 322 : 281;
const memfdCreate = process.arch === 'x64' ? 319 : 279;

testIf('userns')('where clone3 is hidden, clone makes the init', async () => {
  const result = await fixtureUnder(refusing(clone3, 38), 'ordinary-user');
  expect(result).toMatchObject({ frames: [{ kind: 'done', tag: 0 }], exit: { code: 0 } });
});

testIf('userns')('where execveat is hidden, the init is executed by its place in procfs', async () => {
  const result = await fixtureUnder(refusing(execveat, 38), 'ordinary-user');
  expect(result).toMatchObject({ frames: [{ kind: 'done', tag: 0 }], exit: { code: 0 } });
});

testIf('userns')('clone does not copy the descriptors of the program either, where it has many open', async () => {
  const result = await fixtureUnder(refusing(clone3, 38), 'many-descriptors');
  expect(result).toMatchObject({ frames: [{ kind: 'done', tag: 0 }], exit: { code: 0 }, isCopied: false });
});

testIf('userns')('where memory cannot be executed, the init is a file without a name', async () => {
  const result = await fixtureUnder(refusing(memfdCreate, 13), 'ordinary-user');
  expect(result).toMatchObject({ frames: [{ kind: 'done', tag: 0 }], exit: { code: 0 } });
});

testIf('userns')('where the limit on namespaces is reached, the error says which', async () => {
  const before = [
    op('become_root', {}),
    op('write', { root: 'root', path: '/proc/sys/user/max_user_namespaces', content: new Uint8Array([0x30]) }),
  ];
  const result = await fixture('refused-clone', { flags: namespace.user, before });
  expect(result).toMatchObject({
    code: 'ERR_SETUP',
    errno: 'ENOSPC',
    hint: expect.stringContaining('max_user_namespaces'),
  });
});

const unified = readFileSync('/proc/self/mounts', 'utf8').match(/^\S+ (\S+) cgroup2 /m)?.[1];
const testCgroup = unified === undefined || can('root') !== true ? test.skip : test;

testCgroup('an init is born in the cgroup that is asked for', async () => {
  const path = `${unified}/runts-addon-test-${process.pid}`;
  mkdirSync(path);
  try {
    const cgroup = unsafe.open(path, constants.O_RDONLY | constants.O_DIRECTORY);
    const session = await host.processes.spawn({ flags: namespace.uts, cgroup });
    expect(readFileSync(`${path}/cgroup.procs`, 'utf8').trim()).toBe(String(session.pid));
    unsafe.writeCgroup(cgroup, 'cgroup.kill', '1');
    expect(await session.exit).toEqual({ code: undefined, signal: 9 });
    expect(() => unsafe.writeCgroup(cgroup, 'cgroup.max.depth', 'banana')).toThrow('EINVAL');
    cgroup.close();
  } finally {
    rmdirSync(path);
  }
});

const spawned = (letter?: NativeLetter) =>
  new Promise<Spawned>((resolve, reject) => {
    const done: SpawnDone = (result) =>
      typeof result === 'number' || 'errno' in result ? reject(result) : resolve(result);
    native.spawn(0, undefined, done, undefined, undefined, undefined, letter, []);
  });

test('an init that nobody takes over is killed and collected', async () => {
  const { pid, channel, process: handle } = await spawned();
  expect([channel?.fd, handle.fd]).toEqual([-1, -1]);
  await expect.poll(() => existsSync(`/proc/${pid}`)).toBe(false);
});

test('nor is one left that had its errand from the beginning, and waits', async () => {
  const messages = segmentMessages(encode({ inputs: [], ops: [op('sync', { tag: 7 }), halt] }));
  const letter = native.letter(messages, new Uint32Array(0), '/dev/null');
  const { pid, channel, process: handle } = await spawned(letter);
  expect([channel?.fd, handle.fd]).toEqual([-1, -1]);
  await expect.poll(() => existsSync(`/proc/${pid}`)).toBe(false);
});

test('of a process that somebody else has collected only the end is known', async () => {
  const session = await host.processes.spawn({ flags: 0 });
  const copy = native.duplicate(openHandle(session.process).fd);
  if ('errno' in copy) throw new Error('cannot duplicate');
  const other = new Promise((resolve) => {
    new native.Exit(copy, true, (code, signal) => resolve({ code, signal }));
  });
  session.close();
  expect(await Promise.all([session.exit, other])).toEqual(
    expect.arrayContaining([
      { code: 125, signal: undefined },
      { code: undefined, signal: undefined },
    ]),
  );
});
