import { chmodSync, readdirSync, readFileSync, readlinkSync, statSync, writeFileSync } from 'node:fs';
import { arch } from 'node:process';
import { describe, expect, test } from 'vitest';
import type { Op } from '../../lib/program/ops.ts';
import { directory, fail, host, isolated, op, opened, output, ownMounts, run, succeed } from '../support/ops.ts';
import { testIf } from '../support/requires.ts';

const busybox = testIf('busybox');
const withRoot = testIf('busybox', 'root');
const inUserns = testIf('busybox', 'userns');
const flags = ownMounts;

/** The fields of /proc/self/status of a command after some ops. */
async function status(ops: readonly Op[], surroundings = {}): Promise<Record<string, string>> {
  const { text } = await output(ops, ['cat', '/proc/self/status'], surroundings);
  return Object.fromEntries(text.split('\n').map((line) => line.split(/:\s*/, 2) as [string, string]));
}
const bits = (...numbers: number[]) => numbers.reduce((set, number) => set | (1n << BigInt(number)), 0n);
const hex = (set: bigint) => set.toString(16).padStart(16, '0');
const u32 = (...values: number[]) => new Uint8Array(Uint32Array.from(values).buffer);

// ---- names and the network ---------------------------------------------------------------------------------------------

inUserns('hostname and domainname are those of the UTS namespace', async () => {
  const names = [op('hostname', { name: 'inside' }), op('domainname', { name: 'example' })];
  const { text } = await output(names, ['sh', '-c', 'hostname; cat /proc/sys/kernel/domainname'], {
    flags: isolated.user | isolated.uts,
  });
  expect(text).toBe('inside\nexample\n');
  const long = op('hostname', { name: 'n'.repeat(65) });
  expect(await fail([long], { flags: isolated.user | isolated.uts })).toMatch(/^hostname sethostname EINVAL n+/);
  expect(await fail([op('domainname', { name: 'x' })], { flags: isolated.user })).toBe(
    'domainname setdomainname EPERM x',
  );
});

inUserns('link_up brings an interface up', async () => {
  const surroundings = { flags: isolated.user | isolated.network };
  const { text } = await output([op('link_up', { name: 'lo' })], ['ip', 'link', 'show', 'dev', 'lo'], surroundings);
  expect(text).toContain('LOOPBACK,UP');
  expect(await fail([op('link_up', { name: 'nosuch0' })], surroundings)).toBe('link_up ioctl ENODEV nosuch0');
  expect(await fail([op('link_up', { name: 'n'.repeat(16) })], surroundings)).toMatch(/^link_up ioctl ENAMETOOLONG/);
  expect(await fail([op('link_up', { name: 'lo' })], { flags: isolated.user })).toBe('link_up ioctl EPERM lo');
});

// ---- limits and surroundings -------------------------------------------------------------------------------------------

busybox('rlimit, umask and chdir are the command’s', async () => {
  const at = directory();
  const ops = [
    op('rlimit', { resource: 7, soft: 33, hard: 44 }),
    op('umask', { mask: 0o027 }),
    op('chdir', { path: at }),
  ];
  const { text } = await output(ops, ['sh', '-c', 'ulimit -n; ulimit -Hn; umask; pwd']);
  expect(text).toBe(`33\n44\n0027\n${at}\n`);
  expect(await fail([op('rlimit', { resource: 7, soft: 9, hard: 8 })])).toBe('rlimit setrlimit EINVAL');
});

test('chdir to what is missing, or is no directory', async () => {
  expect(await fail([op('chdir', { path: '/nonexistent' })])).toBe('chdir chdir ENOENT /nonexistent');
  expect(await fail([op('chdir', { path: '/proc/self/status' })])).toBe('chdir chdir ENOTDIR /proc/self/status');
});

testIf('userns')('a working directory outside the root is refused, by whatever way it is reached', async () => {
  const at = directory();
  const ops = [
    opened('outside', '/'),
    op('fsmount', { dst: 'root', fstype: 'tmpfs', options: [], attributes: 0 }),
    op('attach_host', { src: 'root', path: at }),
    op('fsmount', { dst: 'proc', fstype: 'proc', options: [], attributes: 0 }),
    op('attach', { src: 'proc', root: 'root', path: 'proc', ordinary: 1 }),
    op('pivot', { root: 'root' }),
  ];
  const into = (path: string) => op('chdir', { path });
  const surroundings = { flags: flags | isolated.pid };
  await succeed([...ops, into('/proc/self/fd')], surroundings);
  // The first register has the first descriptor after the channel's.
  expect(await fail([...ops, into('/proc/self/fd/4')], surroundings)).toBe('chdir outside_root EPERM /proc/self/fd/4');
});

// ---- who it is ---------------------------------------------------------------------------------------------------------

withRoot('ids sets groups, gid and uid', async () => {
  const ids = op('ids', { uid: 1234, gid: 5678, groups: u32(10, 20), keep_groups: 0 });
  const { Uid, Gid, Groups, CapEff, CapPrm } = await status([ids]);
  expect({ Uid, Gid, Groups: Groups?.trim() }).toEqual({
    Uid: '1234\t1234\t1234\t1234',
    Gid: '5678\t5678\t5678\t5678',
    Groups: '10 20',
  });
  expect([CapEff, CapPrm]).toEqual([hex(0n), hex(0n)]);
});

withRoot('ids can keep the groups that there are, or have none', async () => {
  const before = readFileSync('/proc/self/status', 'utf8')
    .match(/^Groups:[ \t]*(.*)$/m)?.[1]
    ?.trim();
  const ids = (keep_groups: number) => op('ids', { uid: 1, gid: 1, groups: u32(), keep_groups });
  expect((await status([ids(1)]))['Groups']?.trim()).toBe(before);
  expect((await status([ids(0)]))['Groups']?.trim()).toBe('');
});

testIf('userns')('ids that have no mapping, and groups where they are denied', async () => {
  const ids = (uid: number, keep_groups: number) => op('ids', { uid, gid: 0, groups: u32(), keep_groups });
  expect(await fail([ids(5, 1)], { flags: isolated.user })).toBe('ids setresuid EINVAL');
  expect(await fail([ids(0, 0)], { flags: isolated.user })).toBe('ids setgroups EPERM');
});

withRoot('capabilities sets all four sets of another user', async () => {
  const [chown, kill, bind] = [0, 5, 10];
  const ops = [
    op('bounding', { capabilities: bits(chown, kill, bind) }),
    op('ids', { uid: 1000, gid: 1000, groups: u32(), keep_groups: 0 }),
    op('capabilities', {
      effective: bits(kill, bind),
      permitted: bits(kill, bind),
      inheritable: bits(bind),
      ambient: bits(bind),
    }),
  ];
  const { CapBnd, CapInh, CapPrm, CapEff, CapAmb } = await status(ops);
  expect(CapBnd).toBe(hex(bits(chown, kill, bind)));
  // An exec by an ordinary user keeps what is ambient.
  expect([CapInh, CapPrm, CapEff, CapAmb]).toEqual(Array(4).fill(hex(bits(bind))));
});

withRoot('capabilities that we do not have cannot be given, nor ambient ones that are not inheritable', async () => {
  const sets = (effective: bigint, permitted: bigint, ambient: bigint) =>
    op('capabilities', { effective, permitted, inheritable: 0n, ambient });
  expect(await fail([sets(bits(5), 0n, 0n)])).toBe('capabilities capset EPERM');
  expect(await fail([sets(bits(5), bits(5), bits(5))])).toBe('capabilities prctl EPERM');
  expect(await fail([sets(0n, 0n, 0n), op('bounding', { capabilities: 0n })])).toBe('bounding prctl EPERM');
});

busybox('no_new_privs, new_session, new_keyring and undumpable', async () => {
  const { NoNewPrivs } = await status([op('no_new_privs', {})]);
  expect(NoNewPrivs).toBe('1');
  const { text } = await output([op('new_session', {})], ['sh', '-c', 'cat /proc/$$/stat; echo $$']);
  const [stat, pid] = text.trim().split('\n');
  expect(stat?.split(' ')[5]).toBe(pid);
  await succeed([op('new_keyring', { name: 'runts-test' })]);
  expect(await fail([op('new_session', {}), op('new_session', {})])).toBe('new_session setsid EPERM');
});

test('an undumpable init belongs to root of the host', async () => {
  await succeed([op('undumpable', {}), op('sync', { tag: 1 })], {
    at: (_, { session }) => {
      expect(statSync(`/proc/${session.pid}/mem`).uid).toBe(0);
      if (process.getuid?.() !== 0) expect(() => readFileSync(`/proc/${session.pid}/environ`)).toThrow(/EACCES/);
    },
  });
});

// ---- descriptors -------------------------------------------------------------------------------------------------------

busybox('a command has its three descriptors and no other', async () => {
  const ops = [opened('a', '/'), opened('b', '/etc')];
  const { text } = await output(ops, ['sh', '-c', 'ls /proc/$$/fd; true']);
  expect(
    text
      .split('\n')
      .filter((fd) => fd !== '')
      .map(Number),
  ).toEqual([0, 1, 2]);
});

busybox('close_from closes for good: no path to execute goes through a register', async () => {
  const at = [4, 5, 6, 7, 8, 9].map((fd) => `/proc/self/fd/${fd}/bin/busybox`);
  const files = (ops: Op[]) =>
    run([opened('host', '/'), ...ops, op('exec', { files: at, argv: ['busybox', 'true'], env: [] })]);
  expect((await files([])).exit).toEqual({ code: 0, signal: undefined });
  const { frames } = await files([op('close_from', { fd: 3 })]);
  expect(frames).toMatchObject([{ kind: 'error', op: 'exec', step: 'execve', errno: 2 }]);
});

busybox('close_from leaves what is below its number', async () => {
  const ops = [opened('a', '/'), op('close_from', { fd: 5 }), op('enter', { dir: 'a' })];
  await succeed(ops);
  expect(await fail([opened('a', '/'), op('close_from', { fd: 4 }), op('enter', { dir: 'a' })])).toBe(
    'enter fchdir EBADF',
  );
});

test('a directory as standard input would lead out of the container, and is refused', async () => {
  const ops = [opened('null', '/dev/null'), opened('host', '/')];
  expect(await fail([...ops, op('stdio', { stdin: 'host', stdout: 'null', stderr: 'null' })])).toBe(
    'stdio dup3 EISDIR',
  );
});

test('own gives a pipe to a user, and stdio refuses nothing else that is open', async () => {
  const { uid, gid } = host.environment;
  const start = opened('null', '/dev/null');
  await succeed([start, op('stdio', { stdin: 'null', stdout: 'null', stderr: 'null' })]);
  // Nobody's but the host's.
  expect(await fail([start, op('own', { src: 'null', uid, gid })])).toBe('own fchownat EPERM');
});

test('keep_only leaves no register open but those that are named', async () => {
  const ops = [opened('a', '/'), opened('b', '/'), op('close', { src: 'b' }), opened('c', '/')];
  await succeed([...ops, op('keep_only', { registers: ['a'] }), op('enter', { dir: 'a' }), op('sync', { tag: 1 })], {
    at: (_, { session }) => {
      const fds = readdirSync(`/proc/${session.pid}/fd`).map((fd) => readlinkSync(`/proc/${session.pid}/fd/${fd}`));
      expect(fds.filter((path) => !/^socket:|null$/.test(path))).toEqual(['/']);
    },
  });
  expect(await fail([...ops, op('keep_only', { registers: ['a'] }), op('enter', { dir: 'c' })])).toBe(
    'enter fchdir EBADF',
  );
});

withRoot('chdir_again has the rights of the user, and may lack them where root had them', async () => {
  const ids = (uid: number) => op('ids', { uid, gid: uid, groups: u32(), keep_groups: 0 });
  const closed = directory();
  chmodSync(closed, 0o700);
  const again = op('chdir_again', { path: closed });
  const { text } = await output([op('chdir', { path: closed }), ids(1000), again], ['pwd']);
  expect(text).toBe(`${closed}\n`);
  expect(await fail([ids(1000), again])).toBe(`chdir_again chdir EACCES ${closed}`);
  expect(await fail([op('chdir', { path: '/' }), op('chdir_again', { path: '/nonexistent' })])).toBe(
    'chdir_again chdir ENOENT /nonexistent',
  );
});

// ---- seccomp -----------------------------------------------------------------------------------------------------------

/** A filter that answers one system call with an action, and allows the rest. */
function filter(call: number, action: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(32));
  const rows = [
    [0x20, 0, 0, 0],
    [0x15, 0, 1, call],
    [0x06, 0, 0, action],
    [0x06, 0, 0, 0x7fff0000],
  ] as const;
  rows.forEach(([code, yes, no, k], i) => {
    view.setUint16(8 * i, code, true);
    view.setUint8(8 * i + 2, yes);
    view.setUint8(8 * i + 3, no);
    view.setUint32(8 * i + 4, k, true);
  });
  return new Uint8Array(view.buffer);
}
const calls =
  arch === 'x64'
    ? { mkdirat: 258, mkdir: 83, sendmsg: 46, exit_group: 231, write: 1 }
    : { mkdirat: 34, mkdir: 34, sendmsg: 211, exit_group: 94, write: 64 };
const refuse = (errno: number) => 0x00050000 | errno;
const privileges = op('no_new_privs', {});
const install = (bytes: Uint8Array) => op('seccomp', { filter: bytes, flags: 0 });

describe('seccomp', () => {
  busybox('a filter is the command’s', async () => {
    const at = directory();
    const mkdir = ['sh', '-c', `mkdir ${at}/a 2>&1; grep Seccomp: /proc/self/status`];
    const { text } = await output([privileges, install(filter(calls.mkdir, refuse(28)))], mkdir);
    expect(text).toMatch(/No space left on device\nSeccomp:\t2/);
  });

  test('what is no filter is refused', async () => {
    expect(await fail([privileges, install(new Uint8Array(8))])).toBe('seccomp seccomp EINVAL');
    expect(await fail([privileges, install(filter(1, 1).subarray(0, 12))])).toBe('seccomp seccomp EINVAL');
    expect(await fail([privileges, install(new Uint8Array(0))])).toBe('seccomp seccomp EINVAL');
  });

  test('a filter of 65537 instructions is not taken for its first one', async () => {
    const long = new Uint8Array(65537 * 8);
    for (let at = 0; at < long.length; at += 8) new DataView(long.buffer).setUint32(at + 4, 0x7fff0000, true);
    for (let at = 0; at < long.length; at += 8) long[at] = 6;
    expect(await fail([privileges, install(long)])).toBe('seccomp seccomp EINVAL');
  });

  const missing = op('exec', { files: ['/nonexistent'], argv: ['x'], env: [] });

  test('an init that may not even exit under its filter ends all the same', async () => {
    const { exit } = await run([privileges, install(filter(calls.exit_group, refuse(1))), missing]);
    expect(exit.code).toBe(undefined);
    expect([4, 5, 11]).toContain(exit.signal);
  });

  test('a failure is told though the filter denies to send anything', async () => {
    const { frames, exit } = await run([privileges, install(filter(calls.sendmsg, refuse(1))), missing]);
    expect(frames).toMatchObject([{ kind: 'error', op: 'exec', step: 'execve', errno: 2 }]);
    expect(exit.code).toBe(125);
  });

  testIf('userns')('under a reaper, a failure is told though the filter denies to tell it', async () => {
    for (const call of [calls.sendmsg, calls.write]) {
      const ops = [op('reap', { capabilities: 0 }), privileges, install(filter(call, 0x80000000)), missing];
      const { frames } = await run(ops, { flags: isolated.user | isolated.pid });
      expect(frames).toMatchObject([{ kind: 'error', op: 'exec', step: 'execve', errno: 2 }, { kind: 'exit' }]);
    }
  });
});

// ---- find and exec -----------------------------------------------------------------------------------------------------

describe('find and exec', () => {
  const find = (...files: string[]) => op('find', { files });
  const exec = (files: string[], argv = ['x'], env: string[] = []) => op('exec', { files, argv, env });
  function made(content: string, mode: number): string {
    const path = `${directory()}/file`;
    writeFileSync(path, content, { mode });
    return path;
  }

  test('find takes the first that can be executed', async () => {
    const plain = made('', 0o644);
    await succeed([find('/nonexistent/sh', '/bin/sh/x', plain, '/bin/sh')]);
    expect(await fail([find('/nonexistent/sh', plain, directory())])).toBe('find faccessat EACCES /nonexistent/sh');
    expect(await fail([find('/nonexistent/sh', '/bin/sh/x')])).toBe('find faccessat ENOENT /nonexistent/sh');
    expect(await fail([find()])).toBe('find faccessat ENOENT');
    expect(await fail([find('/proc/self/exe')])).toBe('find faccessat EACCES /proc/self/exe');
  });

  busybox('exec takes the first that exists and can be', async () => {
    const plain = made('', 0o644);
    const { exit } = await run([exec(['/nonexistent', plain, '/bin/busybox'], ['false'])]);
    expect(exit).toEqual({ code: 1, signal: undefined });
  });

  const failed = async (ops: readonly Op[]) => {
    const { frames, exit } = await run(ops);
    expect(exit.code).toBe(125);
    return frames;
  };

  test('exec says why it cannot', async () => {
    const errno = async (path: string, argv?: string[]) => (await failed([exec([path], argv)]))[0];
    expect(await errno('/nonexistent')).toMatchObject({ op: 'exec', step: 'execve', errno: 2, detail: '/nonexistent' });
    expect(await errno(made('', 0o644))).toMatchObject({ errno: 13 });
    expect(await errno(made('not a program', 0o755))).toMatchObject({ errno: 8 });
    expect(await errno(made('#!/nonexistent/sh\n', 0o755))).toMatchObject({ errno: 2 });
    expect(await errno('/bin/sh', ['x', 'y'.repeat(140_000)])).toMatchObject({ errno: 7 });
    expect((await failed([exec([])]))[0]).toMatchObject({ errno: 2, detail: '' });
  });

  busybox('a command has its arguments and its environment, and no signal blocked or ignored', async () => {
    const script = 'cat /proc/self/status; tr "\\0" " " < /proc/$$/cmdline; tr "\\0" " " < /proc/$$/environ';
    const { text } = await output([], ['sh', '-c', script, 'argument']);
    for (const field of ['SigBlk', 'SigIgn']) expect(text).toMatch(new RegExp(`${field}:\t0{16}\n`));
    expect(text).toMatch(/ argument $/);
  });
});
