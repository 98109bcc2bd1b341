// A new root by moving a mount, and file systems that change their options.
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { describe, expect } from 'vitest';
import type { Op } from '../../lib/program/ops.ts';
import { directory, fail, isolated, op, opened, output, ownMounts } from '../support/ops.ts';
import { testIf } from '../support/requires.ts';

const inUserns = testIf('userns', 'busybox');

/** A root in memory at a path of the host, with busybox and a procfs of its own. */
const madeAt = (path: string): readonly Op[] => [
  op('fsmount', { dst: 'root', fstype: 'tmpfs', options: [], attributes: 0 }),
  op('attach_host', { src: 'root', path }),
  op('clone_mount', { dst: 'bin', path: '/bin/busybox', recursive: 0 }),
  op('attach', { src: 'bin', root: 'root', path: 'bin/busybox', ordinary: 0 }),
  op('fsmount', { dst: 'proc', fstype: 'proc', options: [], attributes: 0 }),
  op('attach', { src: 'proc', root: 'root', path: 'proc', ordinary: 1 }),
];
const moveRoot = op('move_root', { root: 'root' });
const isolation = { flags: ownMounts | isolated.pid };

describe('move_root', () => {
  inUserns('makes a mount the root, with nothing of the host above it', async () => {
    const look = 'echo /*; cd ..; echo *; cd /proc/1/root; echo *';
    const { text } = await output([...madeAt(directory()), moveRoot], ['sh', '-c', look], isolation);
    expect(text).toBe('/bin /proc\nbin proc\nbin proc\n');
  });

  testIf('root', 'busybox')('what else was mounted is gone, but for the old root', async () => {
    const at = directory();
    mkdirSync(`${at}/a b`);
    const ops = [
      op('fsmount', { dst: 'other', fstype: 'tmpfs', options: [], attributes: 0 }),
      op('attach_host', { src: 'other', path: `${at}/a b` }),
      op('directory', { root: 'other', path: 'r', mode: 0o755 }),
      ...madeAt(`${at}/a b/r`),
      moveRoot,
    ];
    const types = ['sh', '-c', 'while read a b c d e f; do echo $e; done < /proc/self/mountinfo | sort'];
    const { text } = await output(ops, types, { flags: isolated.mount | isolated.pid });
    // The old root is not shown: it is out of reach.
    expect(text).toBe('/\n/bin/busybox\n/proc\n');
  });

  inUserns('a procfs of the host that is locked to its place is hidden', async () => {
    const at = directory();
    const ops = [...madeAt(at), opened('old', '/'), moveRoot, op('enter', { dir: 'old' })];
    // Back in the old root by a descriptor that was held, which no command has.
    const { text } = await output(ops, ['sh', '-c', 'echo proc: proc/* sys: sys/*'], isolation);
    expect(text).toBe('proc: proc/* sys: sys/*\n');
  });

  inUserns('what is no mount is refused', async () => {
    const at = directory();
    expect(await fail([opened('root', at), moveRoot], { flags: ownMounts })).toBe('move_root move_mount EINVAL /');
    const detached = op('fsmount', { dst: 'root', fstype: 'tmpfs', options: [], attributes: 0 });
    expect(await fail([detached, moveRoot], { flags: ownMounts })).toBe('move_root outside_root EINVAL');
    expect(await fail([opened('root', '/'), moveRoot], { flags: ownMounts })).toBe('move_root outside_root EINVAL');
    writeFileSync(`${at}/file`, '');
    expect(await fail([opened('root', `${at}/file`), moveRoot], { flags: ownMounts })).toBe('move_root fchdir ENOTDIR');
  });
});

describe('inherit', () => {
  const tmpfs = op('fsmount', { dst: 'src', fstype: 'tmpfs', options: ['mode=0755'], attributes: 0 });
  const inherit = (path: string, owner = 0) => op('inherit', { src: 'src', root: 'root', path, owner });

  inUserns('a mount takes the mode of the directory that it is going to cover', async () => {
    const at = directory();
    mkdirSync(`${at}/d`);
    chmodSync(`${at}/d`, 0o1773);
    const attach = op('attach_host', { src: 'src', path: `${at}/d` });
    const ops = [opened('root', at), tmpfs, inherit('d', 1), attach];
    const { text } = await output(ops, ['stat', '-c', '%a %u', `${at}/d`], { flags: ownMounts });
    expect(text).toBe('1773 0\n');
  });

  inUserns('there must be a directory, and no link leads out to one', async () => {
    const at = directory();
    symlinkSync('/etc', `${at}/link`);
    writeFileSync(`${at}/file`, '');
    const refused = (path: string) => fail([opened('root', at), tmpfs, inherit(path)], { flags: ownMounts });
    expect(await refused('missing')).toBe('inherit openat2 ENOENT missing');
    expect(await refused('file')).toBe('inherit openat2 ENOTDIR file');
    expect(await refused('link')).toBe('inherit openat2 ENOENT link');
  });
});

describe('reconfigure', () => {
  const tmpfs = op('fsmount', { dst: 'src', fstype: 'tmpfs', options: ['size=1m'], attributes: 0 });
  const reconfigure = (...options: string[]) => op('reconfigure', { src: 'src', options });
  const file = (name: string, size: number) =>
    op('file', { root: 'src', path: name, mode: 0o644, content: new Uint8Array(size) });

  inUserns('changes the options of a file system', async () => {
    const at = directory();
    const attach = op('attach_host', { src: 'src', path: at });
    const { text } = await output([tmpfs, reconfigure('size=4m', 'nr_inodes=77'), attach], ['df', '-m', at], {
      flags: ownMounts,
    });
    expect(text).toMatch(/\s4\s/);
    const small = [tmpfs, file('a', 500_000), reconfigure('size=600k'), file('b', 500_000)];
    expect(await fail(small, { flags: ownMounts })).toMatch(/^file write (ENOSPC|EIO)/);
  });

  inUserns('read-only, and back', async () => {
    const surroundings = { flags: ownMounts };
    const frozen = [tmpfs, reconfigure('ro'), file('a', 1)];
    expect(await fail(frozen, surroundings)).toBe('file open EROFS a');
    expect(await fail([tmpfs, reconfigure('ro'), reconfigure('rw'), file('a', 1), file('a', 1)], surroundings)).toBe(
      'file open EEXIST a',
    );
  });

  inUserns('says what the file system does not accept', async () => {
    const surroundings = { flags: ownMounts };
    expect(await fail([tmpfs, reconfigure('size=what')], surroundings)).toMatch(/^reconfigure fsconfig EINVAL .*size/);
    expect(await fail([tmpfs, reconfigure('nosuch=1')], surroundings)).toMatch(/^reconfigure fsconfig EINVAL .*nosuch/);
    const used = [tmpfs, file('a', 600_000), reconfigure('size=4k')];
    expect(await fail(used, surroundings)).toMatch(/^reconfigure fsconfig EINVAL /);
  });

  inUserns('what is not the root of a mount, or belongs to others, is refused', async () => {
    const below = [tmpfs, op('directory', { root: 'src', path: 'd', mode: 0o755 })];
    const picked = op('open_below', { dst: 'd', root: 'src', path: 'd', directory: 1 });
    const ops = [...below, picked, op('reconfigure', { src: 'd', options: [] })];
    expect(await fail(ops, { flags: ownMounts })).toBe('reconfigure fspick EINVAL');
    const hosts = [opened('src', '/'), reconfigure('ro')];
    expect(await fail(hosts, { flags: ownMounts })).toMatch(/^reconfigure fs(pick|config) (EPERM|EINVAL)/);
  });
});
