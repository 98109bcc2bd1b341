import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, expect } from 'vitest';
import { runts } from '../cli/runts.ts';
import { busyboxRoot } from '../support/rootfs.ts';
import { testIf } from '../support/requires.ts';

const directory = mkdtempSync('/var/tmp/runts-freeze-');
const rootfs = busyboxRoot();
afterAll(() => {
  rootfs.remove();
  rmSync(directory, { recursive: true, force: true });
});

async function ok(...args: readonly string[]): Promise<string> {
  const ended = await runts(['--root', join(directory, 'state'), ...args]);
  expect(ended).toMatchObject({ code: 0, stderr: '' });
  return ended.stdout;
}

testIf('vm', 'cgroup2:pids', 'busybox')('a paused container makes no progress until it is resumed', async () => {
  const bundle = join(directory, 'bundle');
  mkdirSync(bundle);
  await ok('spec', '--bundle', bundle);
});
