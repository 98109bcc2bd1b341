import { spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  closeSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { describe, expect, onTestFinished, test } from 'vitest';
import { directory, fail, isolated, op, opened, ownMounts, succeed } from '../support/ops.ts';
import { testIf } from '../support/requires.ts';

const sh = (cwd: string, script: string) => {
  const { status, stderr } = spawnSync('/bin/sh', ['-ec', script], { cwd, encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
};

const copyTree = op('copy_tree', { src: 'from', dst: 'to' });
const both = (from: string, to: string) => [opened('from', from), opened('to', to), copyTree];

/** Copies what `make` has put into a directory, and gives both. */
async function copied(make: (from: string) => void, surroundings = {}) {
  const from = directory({ inMemory: true });
  const to = directory({ inMemory: true });
  make(from);
  await succeed(both(from, to), surroundings);
  return { from, to };
}

describe('copy_tree', () => {
  test('copies files, directories and links, with modes and times', async () => {
    const { from, to } = await copied((at) => {
      mkdirSync(`${at}/a/b`, { recursive: true });
      writeFileSync(`${at}/a/b/file`, 'content');
      writeFileSync(`${at}/empty`, '');
      chmodSync(`${at}/a/b/file`, 0o4711);
      symlinkSync('/nonexistent/target', `${at}/a/link`);
      mkdirSync(`${at}/closed`);
      writeFileSync(`${at}/closed/inside`, 'x');
      for (const name of ['a/b/file', 'a/b', 'a', 'closed']) utimesSync(`${at}/${name}`, 1e9, 1.1e9 + 0.25);
      chmodSync(`${at}/closed`, 0o500);
    });
    expect(readFileSync(`${to}/a/b/file`, 'utf8')).toBe('content');
    expect(readlinkSync(`${to}/a/link`)).toBe('/nonexistent/target');
    for (const name of ['a/b/file', 'a/b', 'a', 'closed', 'closed/inside', 'empty', 'a/link']) {
      const [theirs, ours] = [lstatSync(`${from}/${name}`), lstatSync(`${to}/${name}`)];
      expect([name, ours.mode, ours.mtimeMs, ours.size]).toEqual([name, theirs.mode, theirs.mtimeMs, theirs.size]);
    }
    chmodSync(`${from}/closed`, 0o700);
    chmodSync(`${to}/closed`, 0o700);
  });

  test('leaves the directory itself, and what is there already, as they are', async () => {
    const [from, to] = [directory(), directory()];
    sh(from, 'chmod 0777 .; echo new > file; mkdir -p d/e; echo new > d/file; ln -s new link; echo x > other');
    sh(to, 'chmod 0711 .; echo old > file; mkdir d; echo old > d/file; ln -s old link; mkdir other');
    await succeed(both(from, to));
    expect(statSync(to).mode & 0o7777).toBe(0o711);
    for (const name of ['file', 'd/file']) expect(readFileSync(`${to}/${name}`, 'utf8')).toBe('old\n');
    expect(readlinkSync(`${to}/link`)).toBe('old');
    expect(readdirSync(`${to}/d`)).toEqual(['e', 'file']);
  });

  test('follows no link, neither in what it reads nor in what it writes', async () => {
    const outside = directory();
    writeFileSync(`${outside}/secret`, 'x');
    const [from, to] = [directory(), directory()];
    sh(from, `ln -s ${outside} into; ln -s ${outside}/secret file; mkdir -p d; echo y > d/secret`);
    sh(to, `ln -s ${outside} d`);
    await succeed(both(from, to));
    expect([readlinkSync(`${to}/into`), readlinkSync(`${to}/file`)]).toEqual([outside, `${outside}/secret`]);
    expect(readFileSync(`${outside}/secret`, 'utf8')).toBe('x');
  });

  test('many entries, and large files', async () => {
    const big = Buffer.alloc(3_000_000, 'abc');
    const { to } = await copied((at) => {
      for (let i = 0; i < 300; i++) mkdirSync(`${at}/a directory with a long name ${i}`);
      for (let i = 0; i < 300; i++) writeFileSync(`${at}/a directory with a long name ${i}/file`, `${i}`);
      writeFileSync(`${at}/big`, big);
    });
    expect(readdirSync(to).length).toBe(301);
    for (const i of [0, 13, 299]) {
      expect(readFileSync(`${to}/a directory with a long name ${i}/file`, 'utf8')).toBe(`${i}`);
    }
    expect(readFileSync(`${to}/big`).equals(big)).toBe(true);
  });

  test('holes stay holes', async () => {
    const { to } = await copied((at) => {
      const fd = openSync(`${at}/sparse`, 'w');
      writeSync(fd, 'begin', 0);
      writeSync(fd, 'middle', 50_000_000);
      closeSync(fd);
      truncateSync(`${at}/sparse`, 10_000_000_000);
    });
    const { size, blocks } = statSync(`${to}/sparse`);
    expect(size).toBe(10_000_000_000);
    expect(blocks * 512).toBeLessThan(1_000_000);
    const content = Buffer.alloc(6);
    const fd = openSync(`${to}/sparse`, 'r');
    expect(readSync(fd, content, 0, 6, 50_000_000)).toBe(6);
    closeSync(fd);
    expect(content.toString()).toBe('middle');
  });

  test('a tree that is ten thousand directories deep', async () => {
    const depth = 10_000;
    const deep = `import os
for i in range(${depth}): os.mkdir('d'); os.chdir('d')
open('bottom', 'w').write('x')`;
    const find = `import os
for i in range(${depth}): os.chdir('d')
print(open('bottom').read())`;
    const [from, to] = [directory({ inMemory: true }), directory({ inMemory: true })];
    onTestFinished(() => sh('/', `rm -rf ${from} ${to}`));
    const python = (cwd: string, script: string) => spawnSync('python3', ['-c', script], { cwd, encoding: 'utf8' });
    expect(python(from, deep)).toMatchObject({ status: 0 });
    await succeed(both(from, to));
    expect(python(to, find)).toMatchObject({ stdout: 'x\n' });
  });

  testIf('userns')('enters no mount', async () => {
    const [from, to] = [directory(), directory()];
    sh(from, 'mkdir m; echo x > file');
    await succeed(
      [
        op('fsmount', { dst: 'tmp', fstype: 'tmpfs', options: [], attributes: 0 }),
        op('file', { root: 'tmp', path: 'inside', mode: 0o644, content: new Uint8Array(1) }),
        op('attach_host', { src: 'tmp', path: `${from}/m` }),
        ...both(from, to),
      ],
      { flags: ownMounts },
    );
    expect(readdirSync(to).sort()).toEqual(['file', 'm']);
    expect(readdirSync(`${to}/m`)).toEqual([]);
  });

  testIf('root')('owners, device nodes, fifos, attributes, and hard links as files', async () => {
    const { to } = await copied((at) => {
      sh(at, 'mknod null c 1 3; mknod disk b 259 70000; mkfifo -m 0604 fifo; echo x > file; ln file again');
      chownSync(`${at}/file`, 12, 34);
      chmodSync(`${at}/file`, 0o6755);
      chownSync(`${at}/fifo`, 56, 78);
      mkdirSync(`${at}/d`);
      chownSync(`${at}/d`, 1, 2);
      symlinkSync('x', `${at}/link`);
      sh(at, 'chown -h 7:8 link');
      sh(at, 'command -v setfattr > /dev/null || exit 0; setfattr -n user.a -v 1 file; setfattr -n user.b -v 2 d');
    });
    const seen = Object.fromEntries(
      readdirSync(to).map((name) => {
        const { uid, gid, mode, rdev, nlink } = lstatSync(`${to}/${name}`);
        return [name, [uid, gid, mode.toString(8), rdev, name === 'd' ? 0 : nlink]];
      }),
    );
    expect(seen).toMatchObject({
      file: [12, 34, '106755', 0, 1],
      again: [12, 34, '106755', 0, 1],
      fifo: [56, 78, '10604', 0, 1],
      null: [0, 0, '20644', 0x103, 1],
      d: [1, 2, '40755', 0, 0],
      link: [7, 8, '120777', 0, 1],
    });
    expect(lstatSync(`${to}/disk`).rdev).toBe((259 << 8) | (70000 & 0xff) | ((70000 & ~0xff) << 12));
  });

  testIf('root', 'userns')('in a user namespace: what it may not make or give away is left out', async () => {
    const { to } = await copied(
      (at) => {
        sh(at, 'mknod null c 1 3; mkfifo fifo; echo x > file; mkdir d; echo y > d/file');
        for (const name of ['file', 'd']) chownSync(`${at}/${name}`, 12345, 12345);
        chmodSync(`${at}/file`, 0o6755);
      },
      { flags: isolated.user },
    );
    expect(readdirSync(to).sort()).toEqual(['d', 'fifo', 'file']);
    // Ours now, and so it does not run as us for whoever executes it.
    expect([lstatSync(`${to}/file`).uid, lstatSync(`${to}/file`).mode & 0o7777]).toEqual([0, 0o755]);
    expect(readFileSync(`${to}/d/file`, 'utf8')).toBe('y\n');
  });

  testIf('ordinary user')('what cannot be read is said by name', async () => {
    const from = directory();
    writeFileSync(`${from}/closed`, '', { mode: 0 });
    expect(await fail(both(from, directory()))).toBe('copy_tree openat2 EACCES closed');
  });

  testIf('userns')('a target that is full is said by the name of what did not fit', async () => {
    const from = directory();
    writeFileSync(`${from}/large`, Buffer.alloc(100_000));
    const small = op('fsmount', { dst: 'to', fstype: 'tmpfs', options: ['size=64k'], attributes: 0 });
    expect(await fail([small, opened('from', from), copyTree], { flags: ownMounts })).toBe(
      'copy_tree copy ENOSPC large',
    );
  });

  test('a file is no directory', async () => {
    expect(await fail([opened('from', '/etc/passwd'), opened('to', directory()), copyTree])).toBe(
      'copy_tree open ENOTDIR',
    );
  });

  test('a directory that is moved away while it is read leads nowhere else', async () => {
    const [from, away] = [directory({ inMemory: true }), directory({ inMemory: true })];
    sh(from, 'for d in $(seq 0 39); do mkdir d$d; for f in $(seq 50); do : > d$d/$f; done; done');
    writeFileSync(`${away}/secret`, 'x');
    const mover = spawnMover(from, away);
    for (let i = 0; i < 10; i++) {
      const to = directory({ inMemory: true });
      expect(await fail(both(from, to))).toMatch(
        /^(nothing failed|copy_tree (copy ESTALE|openat2 ENOENT|open ENOENT))/,
      );
      expect(readdirSync(to, { recursive: true }).filter((name) => String(name).includes('secret'))).toEqual([]);
    }
    mover.kill('SIGKILL');
  });
});

/** Moves directories out and in again, without end. */
function spawnMover(from: string, away: string) {
  const script = `import os, itertools
for i in itertools.cycle(range(40)):
  os.rename(f'${from}/d{i}', '${away}/d'); os.rename('${away}/d', f'${from}/d{i}')`;
  const child = spawn('python3', ['-c', script], { stdio: 'ignore' });
  onTestFinished(() => void child.kill('SIGKILL'));
  return child;
}
