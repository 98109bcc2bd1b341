import { closeSync, openSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { describe, expect, onTestFinished, test } from 'vitest';
import { createHost } from '../../lib/node/host.ts';
import { encode } from '../../lib/program/encode.ts';
import { decodeFrame, goMessage, segmentMessages } from '../../lib/program/frames.ts';
import { expectUnchanged, look } from '../support/look.ts';
import { testIf } from '../support/requires.ts';
import { runFixture } from './fixture.ts';
import { frames, halt, mapSelf, namespace, op, runProgram, send } from './programs.ts';

const host = createHost();
const ids = { uid: host.environment.uid, gid: host.environment.gid };
const descriptors = () => readdirSync('/proc/self/fd').length;
const children = () => readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').trim();

test('an init runs a program, says that it is done, and its exit is known', async () => {
  const session = await host.processes.spawn({ flags: 0 });
  await send(session, [halt]);
  expect(await frames(session)).toEqual([{ kind: 'done', tag: 0 }]);
  expect(await session.exit).toEqual({ code: 0, signal: undefined });
  session.process.close();
});

test('an init has the null device, its channel and nothing else', async () => {
  const session = await host.processes.spawn({ flags: 0 });
  const directory = `/proc/${session.pid}`;
  // It closes what it should not have first thing; spawn does not wait for that.
  await expect.poll(() => readdirSync(`${directory}/fd`).sort()).toEqual(['0', '1', '2', '3']);
  for (const fd of [0, 1, 2]) expect(readlinkSync(`${directory}/fd/${fd}`)).toBe('/dev/null');
  expect(readFileSync(`${directory}/environ`, 'utf8')).toBe('');
  expect(readFileSync(`${directory}/cmdline`, 'utf8')).toBe('runts-init\0');
  session.close();
  await session.exit;
  session.process.close();
});

describe('where the program has many descriptors open', () => {
  const open = async () => {
    // What an init is made from is there by now, as it is in any program that has had time to open so many.
    const session = await host.processes.spawn({ flags: 0 });
    session.close();
    await session.exit;
    session.process.close();
    const many = Array.from({ length: 500 }, () => openSync('/dev/null', 'r'));
    onTestFinished(() => {
      for (const fd of many) closeSync(fd);
    });
  };
  const sizeOf = (pid: number) => Number(/^FDSize:\s+(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);

  test('none of them is copied for an init', async () => {
    await open();
    expect(sizeOf(process.pid)).toBeGreaterThanOrEqual(500);
    const session = await host.processes.spawn({ flags: 0 });
    await expect.poll(() => readdirSync(`/proc/${session.pid}/fd`).sort()).toEqual(['0', '1', '2', '3']);
    expect(sizeOf(session.pid)).toBeLessThan(500);
    await send(session, [halt]);
    expect(await frames(session)).toEqual([{ kind: 'done', tag: 0 }]);
    expect(await session.exit).toEqual({ code: 0, signal: undefined });
    session.process.close();
  });

  test('however many inits are made at once, each has its own channel, and none of ours is left open', async () => {
    await open();
    const before = look();
    for (const _ of [1, 2, 3]) {
      const sessions = await Promise.all(Array.from({ length: 16 }, () => host.processes.spawn({ flags: 0 })));
      for (const [i, session] of sessions.entries()) await send(session, [op('sync', { tag: i }), halt]);
      for (const [i, session] of sessions.entries()) {
        expect(decodeFrame((await session.receive())!.bytes)).toEqual({ kind: 'sync', tag: i });
        await session.send(goMessage(i));
        expect(await frames(session)).toEqual([{ kind: 'done', tag: 0 }]);
        expect(await session.exit).toEqual({ code: 0, signal: undefined });
        session.close();
        session.process.close();
      }
    }
    await expectUnchanged(before);
  });
});

testIf('userns')('in new namespaces an init becomes root once its ids are mapped', async () => {
  const flags = namespace.user | namespace.mount | namespace.pid | namespace.uts | namespace.ipc | namespace.cgroup;
  const session = await host.processes.spawn({ flags });
  await mapSelf(host, session.pid, ids);
  await send(session, [op('become_root', {}), op('hostname', { name: 'inside' }), halt]);
  expect(await frames(session)).toEqual([{ kind: 'done', tag: 0 }]);
  expect(await session.exit).toEqual({ code: 0, signal: undefined });
  session.process.close();
});

testIf('root', 'userns')('an ordinary user can do the same', async () => {
  expect(await runFixture('ordinary-user', { uid: 65534 })).toEqual({
    frames: [{ kind: 'done', tag: 0 }],
    exit: { code: 0 },
  });
});

test('an errand is asked for while the init is made, and found by it when it begins', async () => {
  const [message] = segmentMessages(encode({ inputs: [], ops: [halt] }));
  const session = await host.processes.spawn({ flags: 0, errand: () => ({ messages: [message!], handles: [] }) });
  expect(session.errand).toBe(true);
  expect(await frames(session)).toEqual([{ kind: 'done', tag: 0 }]);
  expect(await session.exit).toEqual({ code: 0, signal: undefined });
  session.process.close();
});

test('where there is no errand after all the init waits for a program', async () => {
  const session = await host.processes.spawn({ flags: 0, errand: () => undefined });
  expect(session.errand).toBe(false);
  await send(session, [halt]);
  expect(await frames(session)).toEqual([{ kind: 'done', tag: 0 }]);
  await session.exit;
  session.process.close();
});

test('an errand that cannot be had leaves neither a process nor a descriptor', async () => {
  const before = [children(), descriptors()];
  const errand = () => {
    throw new Error('not today');
  };
  await expect(host.processes.spawn({ flags: 0, errand })).rejects.toThrow('not today');
  await expect(host.processes.spawn({ flags: 0x200, errand })).rejects.toThrow('not today');
  await expect.poll(() => [children(), descriptors()]).toEqual(before);
});

test('an init that is closed without a program ends', async () => {
  const session = await host.processes.spawn({ flags: 0 });
  session.close();
  session.close();
  expect(await session.exit).toEqual({ code: 125, signal: undefined });
  session.process.close();
});

test('a signal is sent by pidfd; to a process that is gone it is not', async () => {
  const session = await host.processes.spawn({ flags: 0 });
  expect(host.processes.signal(session.process, 9)).toBe(true);
  expect(await session.receive()).toBe(undefined);
  expect(await session.exit).toEqual({ code: undefined, signal: 9 });
  expect(host.processes.signal(session.process, 9)).toBe(false);
  session.process.close();
});

test('what clone refuses rejects with its errno, and leaves nothing', async () => {
  await runProgram(host, 0, [halt]);
  const before = descriptors();
  // CLONE_NEWUSER with CLONE_FS is refused by every kernel.
  await expect(host.processes.spawn({ flags: namespace.user | 0x200 })).rejects.toMatchObject({
    code: 'EINVAL',
    syscall: 'clone',
  });
  await expect(host.processes.spawn({ flags: -1 })).rejects.toMatchObject({ code: 'ERR_SPEC' });
  expect(descriptors()).toBe(before);
  expect(children()).toBe('');
});

test('a hundred inits, ten at a time, leave no descriptor and no child', async () => {
  await runProgram(host, 0, [halt]);
  const before = descriptors();
  for (let i = 0; i < 10; i++) {
    await Promise.all(Array.from({ length: 10 }, () => runProgram(host, 0, [halt])));
  }
  expect(descriptors()).toBe(before);
  expect(children()).toBe('');
});

test('spawning leaves this process as it was', async () => {
  // SigQ is of all processes of the user (proc_pid_status(5)).
  const status = () =>
    readFileSync('/proc/self/status', 'utf8').replace(/^(Vm|Rss|Hugetlb|voluntary|nonvol|Threads|SigQ).*$/gm, '');
  await runProgram(host, 0, [halt]);
  const before = status();
  const flags = host.environment.privileged ? namespace.mount | namespace.user : 0;
  const session = await host.processes.spawn({ flags });
  session.close();
  await session.exit;
  session.process.close();
  expect(status()).toBe(before);
});
