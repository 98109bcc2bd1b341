import { readFileSync } from 'node:fs';
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
