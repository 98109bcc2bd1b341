import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import type { Handle } from '../../lib/host/host.ts';
import { encode } from '../../lib/program/encode.ts';
import { decodeFrame, segmentMessages } from '../../lib/program/frames.ts';
import { fail, halt, host, isolated, namespaceOf, op, output, run, succeed } from '../support/ops.ts';
import { testIf } from '../support/requires.ts';

const userns = testIf('userns');
const sync = op('sync', { tag: 1 });

userns('become_root is uid and gid 0, with no ambient capability', async () => {
  await succeed([sync], {
    flags: isolated.user,
    at: (_, { session }) => {
      const status = readFileSync(`/proc/${session.pid}/status`, 'utf8');
      const { uid, gid } = host.environment;
      expect(status).toMatch(new RegExp(`^Uid:(\t${uid}){4}$`, 'm'));
      expect(status).toMatch(new RegExp(`^Gid:(\t${gid}){4}$`, 'm'));
      expect(status).toMatch(/^CapAmb:\t0+$/m);
      expect(status).toMatch(/^CapInh:\t0+$/m);
    },
  });
});

userns('become_root needs ids that are mapped', async () => {
  const session = await host.processes.spawn({ flags: isolated.user });
  onTestFinished(() => session.close());
  const program = encode({ inputs: [], ops: [op('become_root', {}), halt] });
  for (const message of segmentMessages(program)) await session.send(message);
  const message = await session.receive();
  expect(decodeFrame(message!.bytes)).toMatchObject({ kind: 'error', op: 'become_root', step: 'setresgid', errno: 22 });
});

userns('unshare makes new namespaces, for those who may', async () => {
  const flags = isolated.uts | isolated.network;
  await succeed([op('unshare', { flags }), sync], {
    flags: isolated.user,
    at: (_, { session }) => {
      for (const type of ['uts', 'net']) expect(namespaceOf(session.pid, type)).not.toBe(namespaceOf('self', type));
      expect(namespaceOf(session.pid, 'ipc')).toBe(namespaceOf('self', 'ipc'));
    },
  });
  if (!host.environment.privileged) expect(await fail([op('unshare', { flags })])).toBe('unshare unshare EPERM');
});

const types = ['user', 'uts', 'net', 'ipc', 'mnt', 'pid'] as const;
const all = isolated.user | isolated.uts | isolated.network | isolated.ipc | isolated.mount | isolated.pid;

testIf('userns', 'busybox')('join enters the namespaces of another init, and fork its pid namespace', async () => {
  await succeed([op('hostname', { name: 'shared' }), sync], {
    flags: all,
    at: async (_, { session }) => {
      const theirs = types.map((type) => namespaceOf(session.pid, type));
      const inputs: Record<string, Handle> = Object.fromEntries(
        await Promise.all(
          types.map(async (type) => [type, await host.files.open(`/proc/${session.pid}/ns/${type}`, 'read')]),
        ),
      );
      const namespaces = types.filter((type) => type !== 'user');
      const ops = [op('undumpable', {}), op('join', { namespaces, user: 'user' }), op('fork', {})];
      const look = `for t in ${types.join(' ')}; do readlink /proc/self/ns/$t; done; hostname`;
      const { text, frames, exit } = await output(ops, ['sh', '-c', look], { inputs });
      expect(text.trim().split('\n')).toEqual([...theirs, 'shared']);
      // Its exit is known, so it is a child of ours.
      expect(frames.map(({ kind }) => kind)).toEqual(['forked']);
      expect(exit).toEqual({ code: 0, signal: undefined });
      for (const handle of Object.values(inputs)) handle.close();
    },
  });
});

const everything = ['user', 'uts', 'net', 'ipc', 'mnt', 'pid', 'cgroup', 'time'] as const;

/** A process in namespaces of all kinds that another tool has made, of an ordinary user: a rootless container. */
async function rootless(): Promise<number> {
  const uid = process.getuid?.() === 0 ? 12345 : undefined;
  const made = ['--map-root-user', '--mount', '--pid', '--net', '--ipc', '--uts', '--cgroup', '--time'];
  const options = { stdio: 'ignore', cwd: '/', ...(uid && { uid, gid: uid }) } as const;
  const outer = spawn('unshare', [...made, '--fork', '--kill-child', 'sleep', '60'], options);
  onTestFinished(() => void outer.kill('SIGKILL'));
  const child = () => Number(readFileSync(`/proc/${outer.pid}/task/${outer.pid}/children`, 'utf8'));
  for (
    let tries = 0;
    tries < 500 && !(child() && readFileSync(`/proc/${child()}/comm`, 'utf8') === 'sleep\n');
    tries++
  ) {
    await sleep(10);
  }
  return child();
}

testIf('userns', 'busybox')('join and fork enter all eight namespaces of a rootless container', async () => {
  const pid = await rootless();
  const theirs = everything.map((type) => namespaceOf(pid, type));
  const inputs: Record<string, Handle> = {};
  for (const type of everything) inputs[type] = await host.files.open(`/proc/${pid}/ns/${type}`, 'read');
  onTestFinished(() => {
    for (const handle of Object.values(inputs)) handle.close();
  });
  const namespaces = everything.filter((type) => type !== 'user');
  const ops = [op('undumpable', {}), op('join', { namespaces, user: 'user' }), op('fork', {}), op('become_root', {})];
  const look = `for t in ${everything.join(' ')}; do readlink /proc/self/ns/$t; done; id -u; grep CapEff /proc/self/status`;
  const { text, frames, exit } = await output(ops, ['sh', '-c', look], { inputs });
  const [capabilities, uid, ...ours] = text.trim().split('\n').reverse();
  expect(ours.reverse()).toEqual(theirs);
  expect(uid).toBe('0');
  expect(capabilities).not.toMatch(/\t0+$/);
  expect(new Set([...theirs, ...everything.map((type) => namespaceOf('self', type))]).size).toBe(16);
  expect(frames.map(({ kind }) => kind)).toEqual(['forked']);
  expect(exit).toEqual({ code: 0, signal: undefined });
});

testIf('userns')('some of them, in any order, and without the user namespace where it takes none', async () => {
  const pid = await rootless();
  const inputs: Record<string, Handle> = {};
  for (const type of everything) inputs[type] = await host.files.open(`/proc/${pid}/ns/${type}`, 'read');
  onTestFinished(() => {
    for (const handle of Object.values(inputs)) handle.close();
  });
  const unused = op('join', { namespaces: everything.filter((type) => type !== 'user'), user: undefined });
  for (const list of [['mnt', 'net'], ['time', 'cgroup', 'mnt'], ['pid'], []]) {
    const join = op('join', { namespaces: list, user: 'user' });
    const { exit } = await run([join, op('fork', {}), halt], { inputs });
    expect(exit).toEqual({ code: 0, signal: undefined });
  }
  if (host.environment.privileged) await succeed([unused, op('fork', {})], { inputs });
  else expect(await fail([unused], { inputs })).toMatch(/^join setns EPERM/);
});

testIf('userns', 'busybox')('join_process enters the namespaces of a process all at once', async () => {
  const pid = await rootless();
  const process = (await host.processes.find(pid)) as Handle;
  onTestFinished(() => process.close());
  const joined = everything.filter((type) => type !== 'time');
  const theirs = joined.map((type) => namespaceOf(pid, type));
  const flags = isolated.user | isolated.uts | isolated.network | isolated.ipc | isolated.mount | isolated.pid;
  const join = op('join_process', { src: 'process', namespaces: BigInt(flags | isolated.cgroup) });
  const ops = [op('undumpable', {}), join, op('become_root', {}), op('fork', {})];
  const look = `for t in ${joined.join(' ')}; do readlink /proc/self/ns/$t; done; id -u`;
  const { text, frames, exit } = await output(ops, ['sh', '-c', look], { inputs: { process } });
  expect(text.trim().split('\n')).toEqual([...theirs, '0']);
  expect(frames.map(({ kind }) => kind)).toEqual(['forked']);
  expect(exit).toEqual({ code: 0, signal: undefined });
});

test('the namespaces of a process that has ended are not entered, nor those of what is no process', async () => {
  const session = await host.processes.spawn({ flags: 0 });
  const process = (await host.processes.find(session.pid)) as Handle;
  onTestFinished(() => process.close());
  session.close();
  await session.exit;
  const join = op('join_process', { src: 'process', namespaces: BigInt(isolated.mount) });
  expect(await fail([join], { inputs: { process } })).toBe('join_process setns ESRCH');
  const open = op('open', { dst: 'process', path: '/' });
  expect(await fail([open, join])).toBe('join_process setns EBADF');
});

test('what is no namespace cannot be joined', async () => {
  const open = op('open', { dst: 'a', path: '/' });
  expect(await fail([open, op('join', { namespaces: ['a'], user: undefined })])).toBe('join setns EBADF');
  expect(await fail([open, op('join', { namespaces: [], user: 'a' })])).toBe('join setns EBADF');
});

test('the host hears of a fork before it hears from the child, every time', async () => {
  for (let i = 0; i < 30; i++) {
    const { frames, exit } = await run([op('fork', {}), op('fork', {}), halt]);
    expect(frames.map(({ kind }) => kind)).toEqual(['forked', 'forked', 'done']);
    expect(exit).toEqual({ code: 0, signal: undefined });
  }
});

test('a namespace is known by its type before it is entered', async () => {
  const open = async (path: string) => {
    const handle = await host.files.open(path, 'read');
    onTestFinished(() => handle.close());
    return { a: handle };
  };
  const expected = (type: number) => op('expect_namespace', { src: 'a', type });
  await succeed([expected(isolated.network)], { inputs: await open('/proc/self/ns/net') });
  expect(await fail([expected(isolated.pid)], { inputs: await open('/proc/self/ns/net') })).toMatch(/ioctl EINVAL/);
  expect(await fail([expected(isolated.pid)], { inputs: await open('/proc/self/status') })).toMatch(/ioctl ENOTTY/);
});

test('a register that is closed is closed', async () => {
  const open = op('open', { dst: 'a', path: '/' });
  const close = op('close', { src: 'a' });
  await succeed([open, close]);
  expect(await fail([open, close, op('enter', { dir: 'a' })])).toMatch(/^enter fchdir EBADF/);
});
