import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Op } from '../../lib/program/ops.ts';
import {
  attribute,
  bytes,
  directory,
  fail,
  halt,
  host,
  isolated,
  namespaceOf,
  op,
  opened,
  ownMounts,
  run,
  succeed,
} from '../support/ops.ts';
import { testIf } from '../support/requires.ts';

const flags = ownMounts;
const userns = testIf('userns');
const tmpfs = (dst = 'm', options: string[] = [], attributes = 0) =>
  op('fsmount', { dst, fstype: 'tmpfs', options, attributes });
const bind = (dst: string, path: string, recursive = 0) => op('clone_mount', { dst, path, recursive });
const send = (src: string, tag = 1) => op('send_handle', { src, tag });
const attach = (src: string, root: string, path: string, ordinary = 0) => op('attach', { src, root, path, ordinary });
const readonly = (src: string, recursive = 0) =>
  op('mount_attributes', { src, set: attribute.ro, clear: 0, propagation: 0, recursive });
const make = (root: string, path: string) => op('file', { root, path, mode: 0o644, content: bytes('x') });

/** The lines of mountinfo of an init that waits at its sync point, below a path. */
async function mountsAt(ops: readonly Op[], path: string): Promise<string[]> {
  let mountinfo = '';
  await succeed([...ops, op('sync', { tag: 1 })], {
    flags,
    // Undumpable: its files are root's. But what it sees, it can tell.
    at: (_, { session }) => {
      mountinfo = readFileSync(`/proc/${session.pid}/mountinfo`, 'utf8');
    },
  });
  return mountinfo.split('\n').filter((line) => line.split(' ')[4]?.startsWith(path));
}

// ---- fsmount -----------------------------------------------------------------------------------------------------------

userns('fsmount makes a file system with options and attributes', async () => {
  const ops = [
    tmpfs('m', ['mode=0750', 'nr_inodes=4'], attribute.noexec),
    op('directory', { root: 'm', path: 'a', mode: 0o711 }),
  ];
  const { paths } = await succeed([...ops, send('m')], { flags });
  expect(statSync(paths.get(1)!).mode & 0o7777).toBe(0o750);
  expect(statSync(`${paths.get(1)}/a`).mode & 0o7777).toBe(0o711);
});

userns("a bad option is told in the kernel's own words", async () => {
  expect(await fail([tmpfs('m', ['size=plenty'])], { flags })).toBe(
    "fsmount fsconfig EINVAL e tmpfs: Bad value for 'size'",
  );
  expect(await fail([tmpfs('m', ['nosuch=1'])], { flags })).toBe(
    "fsmount fsconfig EINVAL e tmpfs: Unknown parameter 'nosuch'",
  );
});

userns('a file system that does not exist, and one that may not be made', async () => {
  const of = (fstype: string) => op('fsmount', { dst: 'm', fstype, options: [], attributes: 0 });
  expect(await fail([of('nosuchfs')], { flags })).toBe('fsmount fsopen ENODEV nosuchfs');
  expect(await fail([of('ext4')], { flags })).toMatch(/^fsmount (fsopen|fsconfig_create) (EPERM|ENODEV)/);
  const key = 'k'.repeat(300);
  expect(await fail([tmpfs('m', [`${key}=1`])], { flags })).toMatch(/^fsmount fsconfig E2BIG k+/);
});

// ---- clones and attributes ---------------------------------------------------------------------------------------------

userns('a clone of a path of the host is read-only once its attributes say so', async () => {
  const source = directory();
  writeFileSync(join(source, 'file'), 'content');
  const at = directory();
  const ops = [bind('m', source), readonly('m'), opened('at', at), attach('m', 'at', 'bound')];
  const { paths } = await succeed([...ops, send('m')], { flags });
  expect(readFileSync(`${paths.get(1)}/file`, 'utf8')).toBe('content');
  expect(await fail([...ops, op('write', { root: 'm', path: 'file', content: bytes('x') })], { flags })).toBe(
    'write openat2 EROFS file',
  );
  expect(existsSync(join(at, 'bound/file'))).toBe(false); // in our namespace there is only the mount point
  expect(existsSync(join(at, 'bound'))).toBe(true);
});

userns('a clone of what is not there is refused', async () => {
  expect(await fail([bind('m', '/nonexistent/x')], { flags })).toBe('clone_mount open_tree ENOENT /nonexistent/x');
  const below = op('clone_below', { dst: 'm', root: 'r', path: 'missing', recursive: 0 });
  expect(await fail([opened('r', directory()), below], { flags })).toBe('clone_below openat2 ENOENT missing');
});

userns('a clone below a root takes links inside the root', async () => {
  const path = directory();
  mkdirSync(join(path, 'etc'));
  writeFileSync(join(path, 'etc/passwd'), 'of the image');
  symlinkSync('/etc/passwd', join(path, 'link'));
  const clone = op('clone_below', { dst: 'm', root: 'r', path: 'link', recursive: 0 });
  const { paths } = await succeed([opened('r', path), clone, send('m')], { flags });
  expect(readFileSync(paths.get(1)!, 'utf8')).toBe('of the image');
});

userns('a clone has what is mounted below it only when it is recursive', async () => {
  const at = directory();
  mkdirSync(join(at, 'sub'));
  const outer = [tmpfs('o'), op('attach_host', { src: 'o', path: at })];
  const inner = [tmpfs('i'), attach('i', 'o', 'sub'), make('i', 'inside')];
  const clone = (recursive: number) => op('clone_below', { dst: 'c', root: 'o', path: '', recursive });
  const names = async (recursive: number) => {
    const { paths } = await succeed([...outer, ...inner, clone(recursive), send('c')], { flags });
    return readdirSync(`${paths.get(1)}/sub`);
  };
  expect(await names(1)).toEqual(['inside']);
  expect(await names(0)).toEqual([]);
});

userns('attributes are set on the mounts below when recursive, and on the one when not', async () => {
  const at = directory();
  const tree = [tmpfs('o'), op('attach_host', { src: 'o', path: at }), tmpfs('i'), attach('i', 'o', 'sub')];
  await succeed([...tree, readonly('o'), make('i', 'still')], { flags });
  expect(await fail([...tree, readonly('o', 1), make('i', 'no more')], { flags })).toBe('file open EROFS no more');
});

userns('the atime attributes are values of one field', async () => {
  const atime = (set: number) => op('mount_attributes', { src: 'm', set, clear: 0, propagation: 0, recursive: 0 });
  const at = directory();
  const [line] = await mountsAt([tmpfs(), atime(0x10), atime(0x20), op('attach_host', { src: 'm', path: at })], at);
  expect(line).not.toMatch(/noatime|relatime/);
});

userns('attributes of a descriptor that is no mount are refused', async () => {
  expect(await fail([opened('d', directory()), readonly('d')], { flags })).toBe(
    'mount_attributes mount_setattr EINVAL',
  );
});

testIf('root')('idmap maps the owners of a clone through a user namespace', async () => {
  const source = directory();
  writeFileSync(join(source, 'file'), '');
  const session = await host.processes.spawn({ flags: isolated.user });
  await host.files.write(`/proc/${session.pid}/uid_map`, '0 5000 1');
  await host.files.write(`/proc/${session.pid}/gid_map`, '0 5000 1');
  const userns = await host.files.open(`/proc/${session.pid}/ns/user`, 'read');
  const map = op('idmap', { src: 'm', userns: 'userns', recursive: 0 });
  const inputs = { userns };
  const { paths } = await succeed([bind('m', source), map, send('m')], { flags: isolated.mount, inputs });
  expect(statSync(`${paths.get(1)}/file`).uid).toBe(5000);
  expect(await fail([op('idmap', { src: 'userns', userns: 'userns', recursive: 0 })], { inputs })).toBe(
    'idmap mount_setattr EINVAL',
  );
  userns.close();
  session.close();
});

// ---- attach and detach -------------------------------------------------------------------------------------------------

userns('attach makes a directory for a directory and an empty file for a file', async () => {
  const path = directory();
  const source = directory();
  writeFileSync(join(source, 'file'), 'content');
  const root = opened('r', path);
  await succeed([root, bind('d', source), attach('d', 'r', 'a/dir')], { flags });
  await succeed([root, bind('f', join(source, 'file')), attach('f', 'r', 'b/file')], { flags });
  expect(statSync(join(path, 'a/dir')).isDirectory()).toBe(true);
  expect(statSync(join(path, 'b/file')).size).toBe(0);
  expect(await fail([root, bind('f', join(source, 'file')), attach('f', 'r', 'a/dir')], { flags })).toBe(
    'attach move_mount EINVAL a/dir',
  );
  expect(await fail([root, bind('d', source), attach('d', 'r', 'b/file')], { flags })).toBe(
    'attach move_mount EINVAL b/file',
  );
  expect(await fail([root, attach('r', 'r', 'a/dir')], { flags })).toBe('attach move_mount EINVAL a/dir');
});

userns('a mount point behind a link that leads to nothing is made where the link leads, inside', async () => {
  const path = directory();
  mkdirSync(join(path, 'etc'));
  // As in the images of distributions with systemd.
  symlinkSync('../run/systemd/stub.conf', join(path, 'etc/resolv.conf'));
  symlinkSync('/run/shm', join(path, 'shm'));
  symlinkSync('/../../outside', join(path, 'escape'));
  const source = join(directory(), 'file');
  writeFileSync(source, 'nameserver');
  const root = opened('r', path);
  await succeed([root, bind('f', source), attach('f', 'r', 'etc/resolv.conf')], { flags });
  await succeed([root, tmpfs(), attach('m', 'r', 'shm')], { flags });
  await succeed([root, tmpfs(), attach('m', 'r', 'escape/sub')], { flags });
  expect(statSync(join(path, 'run/systemd/stub.conf')).isFile()).toBe(true);
  expect(statSync(join(path, 'run/shm')).isDirectory()).toBe(true);
  expect(readdirSync(path).sort()).toEqual(['escape', 'etc', 'outside', 'run', 'shm']);
});

userns('links that lead to nothing, and to each other, are an end', async () => {
  const path = directory();
  symlinkSync('b/x', join(path, 'a'));
  symlinkSync('a/x', join(path, 'b'));
  expect(await fail([opened('r', path), tmpfs(), attach('m', 'r', 'a')], { flags })).toBe('attach openat2 ELOOP a');
});

userns('an ordinary mount point must be a directory', async () => {
  const path = directory();
  writeFileSync(join(path, 'proc'), '');
  expect(await fail([opened('r', path), tmpfs(), attach('m', 'r', 'proc', 1)], { flags })).toBe(
    'attach openat2 ENOTDIR proc',
  );
});

userns('attach_host puts a mount at a path of our own namespace only', async () => {
  const at = directory();
  const lines = await mountsAt([tmpfs(), make('m', 'x'), op('attach_host', { src: 'm', path: at })], at);
  expect(lines).toHaveLength(1);
  expect(readFileSync('/proc/self/mountinfo', 'utf8')).not.toContain(at);
  const missing = op('attach_host', { src: 'm', path: join(at, 'missing') });
  expect(await fail([tmpfs(), missing], { flags })).toBe(`attach_host move_mount ENOENT ${join(at, 'missing')}`);
});

userns('detach takes a mount off; what uses it keeps it', async () => {
  const at = directory();
  const ops = [tmpfs(), op('attach_host', { src: 'm', path: at }), op('detach', { src: 'm' })];
  expect(await mountsAt(ops, at)).toEqual([]);
  await succeed([...ops, make('m', 'still here')], { flags });
  expect(await fail([opened('d', at), op('detach', { src: 'd' })], { flags })).toBe('detach umount2 EINVAL');
});

// ---- mask, readonly, pivot ---------------------------------------------------------------------------------------------

userns('mask hides a directory under an empty one and a file under the null device', async () => {
  const path = directory();
  mkdirSync(join(path, 'dir'));
  writeFileSync(join(path, 'dir/inside'), 'secret');
  writeFileSync(join(path, 'file'), 'secret');
  const mask = (at: string) => op('mask', { root: 'r', path: at, null: 'null' });
  const start = [bind('r', path), op('attach_host', { src: 'r', path }), opened('null', '/dev/null')];
  const below = (dst: string, at: string) => op('open_below', { dst, root: 'r', path: at, directory: 0 });
  const sent = [below('a', 'dir'), send('a', 1), below('b', 'file'), send('b', 2)];
  const { paths } = await succeed([...start, mask('dir'), mask('file'), ...sent], { flags });
  expect(readdirSync(paths.get(1)!)).toEqual([]);
  expect(statSync(paths.get(2)!).rdev).toBe(statSync('/dev/null').rdev);
  expect(await fail([...start, mask('missing')], { flags })).toBe('mask openat2 ENOENT missing');
  expect(await fail([...start, mask('dir'), make('r', 'dir/new')], { flags })).toBe('file open EROFS dir/new');
});

userns('another device, or a file, does not pass for the null device', async () => {
  const path = directory();
  writeFileSync(join(path, 'file'), 'secret');
  writeFileSync(join(path, 'fake'), '');
  const mask = op('mask', { root: 'r', path: 'file', null: 'null' });
  for (const device of ['/dev/zero', '/dev/tty', join(path, 'fake'), path]) {
    const ops = [bind('r', path), op('attach_host', { src: 'r', path }), opened('null', device), mask];
    expect(await fail(ops, { flags })).toBe('mask null_device EINVAL file');
  }
});

userns('readonly covers what is mounted below, and leaves its neighbours', async () => {
  const at = directory();
  const start = [
    tmpfs('r'),
    op('attach_host', { src: 'r', path: at }),
    op('directory', { root: 'r', path: 'ro/sub', mode: 0o755 }),
    tmpfs('i'),
    attach('i', 'r', 'ro/sub'),
    op('readonly', { root: 'r', path: 'ro' }),
  ];
  await succeed([...start, make('r', 'beside')], { flags });
  expect(await fail([...start, make('r', 'ro/x')], { flags })).toBe('file open EROFS ro/x');
  expect(await fail([...start, make('r', 'ro/sub/x')], { flags })).toBe('file open EROFS ro/sub/x');
  expect(await fail([...start, op('readonly', { root: 'r', path: 'none' })], { flags })).toBe(
    'readonly openat2 ENOENT none',
  );
});

const newRoot = (at: string) => [tmpfs('r'), op('attach_host', { src: 'r', path: at }), make('r', 'mark')];

userns('pivot makes a mount the root and leaves nothing of the old one', async () => {
  const at = directory();
  const pivot = op('pivot', { root: 'r' });
  expect(await mountsAt([...newRoot(at), pivot], '/')).toHaveLength(1);
  const up = op('open_below', { dst: 'a', root: 'r', path: '../../../etc', directory: 0 });
  expect(await fail([...newRoot(at), pivot, up], { flags })).toMatch(/ENOENT/);
  await succeed(
    [...newRoot(at), pivot, op('chdir', { path: '/../..' }), op('root_propagation', { flags: 0x40000, recursive: 1 })],
    {
      flags,
    },
  );
});

userns('a mount on the old root, which would keep it in reach, is seen', async () => {
  const stacked = [tmpfs('s'), op('attach_host', { src: 's', path: '/' })];
  expect(await fail([...newRoot(directory()), ...stacked, op('pivot', { root: 'r' })], { flags })).toBe(
    'pivot outside_root EBUSY',
  );
});

userns('pivot refuses what is no mount, or is not attached', async () => {
  expect(await fail([opened('d', directory()), op('pivot', { root: 'd' })], { flags })).toBe('pivot pivot_root EINVAL');
  expect(await fail([tmpfs(), op('pivot', { root: 'm' })], { flags })).toBe('pivot pivot_root EINVAL');
});

// ---- propagation -------------------------------------------------------------------------------------------------------

userns('propagation cuts every mount off', async () => {
  const lines = await mountsAt([op('propagation', { flags: 0x40000 })], '/');
  expect(lines.filter((line) => /(shared|master):/.test(line))).toEqual([]);
});

userns('root_propagation is for the mount at the root', async () => {
  const lines = await mountsAt(
    [...newRoot(directory()), op('pivot', { root: 'r' }), op('root_propagation', { flags: 0x100000, recursive: 0 })],
    '/',
  );
  expect(lines[0]).toMatch(/ shared:\d+ /);
});

test('without rights over mounts every op on them says EPERM', async () => {
  if (host.environment.privileged) return;
  expect(await fail([tmpfs()])).toBe('fsmount fsopen EPERM tmpfs');
  const { frames } = await run([op('propagation', { flags: 0x40000 }), halt]);
  expect(frames).toMatchObject([{ step: 'mount', errno: 1 }]);
});

userns('enter changes the working directory to a register', async () => {
  const path = directory();
  const sync = op('sync', { tag: 1 });
  await succeed([opened('d', path), op('enter', { dir: 'd' }), op('unshare', { flags: isolated.uts }), sync], {
    flags: isolated.user,
    at: (_, { session }) => expect(namespaceOf(session.pid, 'uts')).not.toBe(namespaceOf('self', 'uts')),
  });
  writeFileSync(join(path, 'file'), '');
  expect(await fail([opened('f', join(path, 'file')), op('enter', { dir: 'f' })])).toBe('enter fchdir ENOTDIR');
});
