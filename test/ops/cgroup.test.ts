import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, rmdirSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { directory, fail, op, opened, succeed } from '../support/ops.ts';
import { testIf } from '../support/requires.ts';

const cgroup2 = ['/sys/fs/cgroup', '/sys/fs/cgroup/unified'].find(
  (path) => existsSync(path) && statfsSync(path).type === 0x63677270,
);
const kill = (name: string) => op('kill_cgroup', { parent: 'parent', name });
const parent = opened('parent', cgroup2 ?? '/');
const withCgroups = cgroup2 === undefined ? test.skip : testIf('root');

/** A cgroup below the top of the hierarchy. */
function cgroup(...below: string[]): { name: string; path: string } {
  const name = `runts-test-${randomBytes(6).toString('hex')}`;
  const path = join(cgroup2!, name);
  mkdirSync(path);
  onTestFinished(() => {
    if (existsSync(path)) rmdirSync(path);
  });
  for (const child of below) mkdirSync(join(path, child), { recursive: true });
  return { name, path };
}

withCgroups('kill_cgroup kills what lives in a cgroup, however deep, and removes it', async () => {
  const { name, path } = cgroup('a/b/c', 'd');
  const sleeping = ['.', 'a/b/c', 'd'].map((below) => {
    const child = spawn('sleep', ['1000']);
    writeFileSync(join(path, below, 'cgroup.procs'), String(child.pid));
    return new Promise((resolve) => child.once('exit', (_, signal) => resolve(signal)));
  });
  await succeed([parent, kill(name)]);
  expect(existsSync(path)).toBe(false);
  expect(await Promise.all(sleeping)).toEqual(['SIGKILL', 'SIGKILL', 'SIGKILL']);
});

withCgroups('a cgroup that is gone is fine', async () => {
  await succeed([parent, kill('runts-test-missing')]);
});

withCgroups('a name that leads elsewhere does not name a cgroup to kill', async () => {
  const { path, name: own } = cgroup();
  for (const name of ['', '.', '..', 'a/..', 'a/b']) {
    expect(await fail([opened('parent', path), kill(name)])).toBe(`kill_cgroup openat2 EINVAL ${name}`.trimEnd());
  }
  expect(existsSync(path)).toBe(true);
  await succeed([parent, kill(own)]);
});

test('what is no cgroup is not touched', async () => {
  const path = directory();
  mkdirSync(join(path, 'name/sub'), { recursive: true });
  expect(await fail([opened('parent', path), kill('name')])).toBe('kill_cgroup fstat EXDEV name');
  expect(existsSync(join(path, 'name/sub'))).toBe(true);
});
