import { constants, mkdirSync, readFileSync, rmdirSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { createHost } from '../../lib/node/host.ts';
import { native } from '../../lib/node/native.ts';
import { openStdio } from '../../lib/node/stdio.ts';
import * as unsafe from '../../lib/unsafe.ts';
import { can, testIf } from '../support/requires.ts';
import { namespace, op, send } from './programs.ts';

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

async function fixtureUnder(filter: Uint8Array, name: string): Promise<unknown> {
  const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
  const argv = ['node', '--import', here('../support/typescript.mjs'), here(`fixtures/${name}.ts`)];
  const stdio = await openStdio({ stdin: 'ignore', stdout: 'pipe', stderr: 'inherit' });
  const [stdin, stdout, stderr] = stdio.handles;
  const session = await host.processes.spawn({ flags: 0 });
  const ops = [
    op('stdio', { stdin: 'stdin', stdout: 'stdout', stderr: 'stderr' }),
    op('no_new_privs', {}),
    op('seccomp', { filter, flags: 0n }),
    op('exec', { files: [process.execPath], argv, env: ['PATH=/usr/bin:/bin'] }),
  ];
  await send(session, ops, { inputs: { stdin, stdout, stderr } });
  for (const handle of stdio.handles) handle.close();
  const output = await text(stdio.stdout!);
  expect(await session.exit).toEqual({ code: 0, signal: undefined });
  return JSON.parse(output.trim().split('\n').at(-1) ?? 'null');
}

const clone3 = 435;
const memfdCreate = process.arch === 'x64' ? 319 : 279;

testIf('userns')('where clone3 is hidden, clone makes the init', async () => {
  const result = await fixtureUnder(refusing(clone3, 38), 'ordinary-user');
  expect(result).toMatchObject({ frames: [{ kind: 'done' }], exit: { code: 0 } });
});

testIf('userns')('where memory cannot be executed, the init is a file without a name', async () => {
  const result = await fixtureUnder(refusing(memfdCreate, 13), 'ordinary-user');
  expect(result).toMatchObject({ frames: [{ kind: 'done' }], exit: { code: 0 } });
});

testIf('userns')('what refuses the namespaces is named, with what to do about it', async () => {
  const result = await fixtureUnder(refusing(clone3, 1), 'refused-clone');
  expect(result).toMatchObject({ code: 'ERR_SETUP', errno: 'EPERM', hint: expect.stringContaining('unprivileged') });
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

test('of a process that somebody else has collected only the end is known', async () => {
  const spawned = await native.spawn(0, undefined);
  if ('errno' in spawned) throw new Error('cannot spawn');
  const process = spawned.process.fd;
  const exits = [native.duplicate(process), native.duplicate(process)].map((handle) => {
    if ('errno' in handle) throw new Error('cannot duplicate');
    return new Promise((resolve) => new native.Exit(handle, (code, signal) => resolve({ code, signal })));
  });
  spawned.channel.close();
  expect(await Promise.all(exits)).toEqual(
    expect.arrayContaining([
      { code: 125, signal: undefined },
      { code: undefined, signal: undefined },
    ]),
  );
});
