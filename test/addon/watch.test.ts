import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { createHost } from '../../lib/node/host.ts';
import { cgroup2Root, testIf } from '../support/requires.ts';
import { runFixture } from './fixture.ts';

const { files, processes } = createHost();
const root = mkdtempSync(join(tmpdir(), 'runts-watch-'));
afterAll(() => rmSync(root, { recursive: true }));
const at = (path: string) => join(root, path);

test('a change is heard of by who waits, and by who comes later, once', async () => {
  writeFileSync(at('events'), 'populated 0\n');
  const watch = await files.watch(at('events'));
  let heard = 0;
  const waiting = [watch.changed(), watch.changed()].map((change) => change.then(() => heard++));
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(heard).toBe(0);
  appendFileSync(at('events'), 'x');
  await Promise.all(waiting);
  appendFileSync(at('events'), 'y');
  await new Promise((resolve) => setTimeout(resolve, 50));
  await watch.changed();
  const late = watch.changed();
  watch.close();
  watch.close();
  await expect(late).rejects.toMatchObject({ code: 'ERR_STATE' });
  await expect(watch.changed()).rejects.toMatchObject({ code: 'ERR_STATE' });
});

test('that a watched file is gone is heard of, too', async () => {
  writeFileSync(at('gone'), '');
  const watch = await files.watch(at('gone'));
  const change = watch.changed();
  rmSync(at('gone'));
  await change;
  watch.close();
  await expect(files.watch(at('gone'))).rejects.toMatchObject({ code: 'ENOENT' });
});

test('many watches leave no descriptor', async () => {
  writeFileSync(at('many'), '');
  (await files.watch(at('many'))).close();
  const before = readdirSync('/proc/self/fd').length;
  for (let i = 0; i < 200; i++) {
    const watch = await files.watch(at('many'));
    watch.changed().catch(() => undefined);
    watch.close();
  }
  expect(readdirSync('/proc/self/fd').length).toBeLessThanOrEqual(before);
});

test('a watch that nobody waits for, and an idle connection, let the process end', async () => {
  expect(await runFixture('idle')).toEqual({ idle: true });
});

testIf('cgroup2')('the kernel tells of a cgroup that becomes empty', async () => {
  const cgroup = join(cgroup2Root as string, `runts-watch-${process.pid}`);
  mkdirSync(cgroup);
  try {
    const watch = await files.watch(join(cgroup, 'cgroup.events'));
    const directory = await files.open(cgroup, 'directory');
    const session = await processes.spawn({ flags: 0, cgroup: directory });
    await watch.changed();
    expect(await files.read(join(cgroup, 'cgroup.events'))).toContain('populated 1');
    session.close();
    await session.exit;
    session.process.close();
    while (!(await files.read(join(cgroup, 'cgroup.events'))).includes('populated 0')) await watch.changed();
    watch.close();
    directory.close();
  } finally {
    rmdirSync(cgroup);
  }
});

test('what is appended comes after what was there, in a file that everybody may read', async () => {
  const before = process.umask(0);
  try {
    await files.append(at('log'), 'one\n');
    await files.append(at('log'), 'two\n');
    expect(await files.read(at('log'))).toBe('one\ntwo\n');
    expect(statSync(at('log')).mode & 0o777).toBe(0o644);
  } finally {
    process.umask(before);
  }
});

testIf('root')('the owner of a link is set, not of where it leads', async () => {
  writeFileSync(at('target'), '');
  symlinkSync('target', at('owned'));
  await files.setOwner(at('owned'), 1234, 5678);
  expect(lstatSync(at('owned'))).toMatchObject({ uid: 1234, gid: 5678 });
  expect(statSync(at('owned')).uid).toBe(0);
});

test('a device is known by its type and numbers; what is none has none', async () => {
  expect(await files.device('/dev/null')).toEqual({ type: 'c', major: 1, minor: 3 });
  for (const path of [root, at('none'), at('none/none')]) expect(await files.device(path)).toBe(undefined);
});

testIf('root')('large device numbers are told apart', async () => {
  for (const [type, major, minor] of [
    ['b', 259, 1048575],
    ['c', 4095, 65536],
  ] as const) {
    const path = at(`${type}${major}`);
    execFileSync('mknod', [path, type, String(major), String(minor)]);
    expect(await files.device(path)).toEqual({ type, major, minor });
  }
});
