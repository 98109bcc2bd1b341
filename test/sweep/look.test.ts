import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { expectUnchanged, look, until } from '../support/look.ts';
import { testIf } from '../support/requires.ts';
import { type TemporaryDirectory, temporaryDirectory } from '../support/rootfs.ts';

let directory: TemporaryDirectory;
beforeEach(() => {
  directory = temporaryDirectory();
});
afterEach(() => directory.remove());
const here = () => ({ directories: [directory.path] });

test('two looks at a quiet host are the same', async () => {
  await expectUnchanged(look(here()), here());
});

test('a descriptor that stays is seen', () => {
  const before = look();
  const fd = openSync(join(directory.path, 'open'), 'w');
  expect(look().descriptors).toHaveLength(before.descriptors.length + 1);
  closeSync(fd);
  expect(look().descriptors).toEqual(before.descriptors);
});

test('a file and a directory that stay are seen', () => {
  mkdirSync(join(directory.path, 'made'));
  writeFileSync(join(directory.path, 'made/file'), '');
  expect(look(here()).files.map((path) => path.slice(directory.path.length))).toEqual(['/made', '/made/file']);
});

testIf('userns')('a child that stays is seen, with its namespaces', async () => {
  const before = look();
  const child = spawn('unshare', ['--user', '--net', 'sleep', '1000'], { stdio: 'ignore' });
  const ended = new Promise((resolve) => child.once('close', resolve));
  const isSeen = await until(() => look().namespaces.length === before.namespaces.length + 2, 5000);
  expect(look().processes.length).toBe(before.processes.length + 1);
  child.kill('SIGKILL');
  await ended;
  expect(isSeen).toBe(true);
  expect(look().processes).toEqual(before.processes);
});
