import { expect, test } from 'vitest';
import { type Explainable, explain } from '../../../lib/program/explain.ts';

const text = (op: string, operands: object, more: object = {}) =>
  explain({ inputs: [], ops: [{ op, operands, ...more } as Explainable] })
    .trimEnd()
    .replace(/^ *0 +/, '')
    .replace(/ +/g, ' ');

test.each([
  ['unshare', { flags: 0x20020000 }, 'unshare flags=mount,pid'],
  ['reap', { capabilities: 0 }, 'reap capabilities=none'],
  ['bounding', { capabilities: (1n << 41n) - 1n }, 'bounding capabilities=all'],
  ['bounding', { capabilities: 0x401n }, 'bounding capabilities=chown,net_bind_service'],
  ['propagation', { flags: 0x80000 }, 'propagation flags=slave'],
  ['fsmount', { dst: 'a', fstype: 'proc', options: [], attributes: 0 }, 'fsmount dst=a fstype=proc options=[]'],
  [
    'mount_attributes',
    { src: 'a', set: 0x200013, clear: 0x70, propagation: 0x40000, recursive: 1 },
    'mount_attributes src=a set=ro,nosuid,noatime,nosymfollow clear=atime propagation=private recursive',
  ],
  ['seccomp', { filter: new Uint8Array(98), flags: 10 }, 'seccomp filter=<98 bytes> flags=log,new_listener'],
  ['rlimit', { resource: 7, soft: 1024, hard: (1n << 64n) - 1n }, 'rlimit resource=nofile soft=1024 hard=unlimited'],
  [
    'node',
    { root: 'r', path: 'dev/null', mode: 0o20666, major: 1, minor: 3, uid: 0, gid: 0 },
    'node root=r path=dev/null mode=char:0666 major=1 minor=3 uid=0 gid=0',
  ],
  [
    'listener',
    { dst: 'l', filter: new Uint8Array(8), flags: 32 },
    'listener dst=l filter=<8 bytes> flags=wait_killable',
  ],
  [
    'scheduler',
    { policy: 6, flags: 3, nice: 0xfffffff5, priority: 0, runtime: 1_000_000, deadline: 2n, period: 3 },
    'scheduler policy=deadline flags=reset_on_fork,reclaim nice=-11 priority=0 runtime=1000000 deadline=2 period=3',
  ],
  ['io_priority', { class: 2, priority: 4 }, 'io_priority class=best-effort priority=4'],
  ['memory_policy', { mode: 0x8002, nodes: new Uint8Array(1) }, 'memory_policy mode=bind,static_nodes nodes=<1 bytes>'],
  ['personality', { persona: 8 }, 'personality persona=0x8'],
  ['join', { namespaces: ['a', 'b'], user: undefined }, 'join namespaces=[a b]'],
  [
    'exec',
    { files: ['/a b'], argv: ['a', '', 'ü'], env: ['A="1"'] },
    'exec files=["/a b"] argv=[a "" ü] env=["A=\\"1\\""]',
  ],
  ['chdir', { path: 'a\nb\u001b' }, 'chdir path="a\\nb\\u001b"'],
  ['chdir', { path: 'a\u009b\u2028' }, 'chdir path="a\\u009b\\u2028"'],
])('%s %o', (op, operands, expected) => {
  expect(text(op, operands)).toBe(expected);
});

test('conditions and origin stand at the end of the line', () => {
  const line = text('umask', { mask: 0o22 }, { unless: ['EPERM', 'EBUSY'], skip: 1, origin: '/process/user/umask' });
  expect(line).toBe('umask mask=0022 [unless EPERM,EBUSY] [skip 1] ; /process/user/umask');
});
