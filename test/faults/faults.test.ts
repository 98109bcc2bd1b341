import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect } from 'vitest';
import type { Point } from '../../scripts/faults/point.ts';
import { testIf } from '../support/requires.ts';

// All of them are `npm run faults`, which takes more than an hour.
const faults = fileURLToPath(new URL('../../dist/scripts/faults/main.js', import.meta.url));

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'runts-test-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

async function run(...args: string[]): Promise<{ code: number | null; output: string }> {
  const child = spawn(process.execPath, [faults, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  const output = text(child.stdout);
  const [code] = await once(child, 'exit');
  return { code, output: await output };
}

const fail = (scenario: string, call: Required<Pick<Point, 'denied'>>): Point => ({
  scenario,
  act: 'fail',
  scope: 'host',
  at: 0,
  variant: 0,
  ...call,
});

testIf('root', 'busybox', 'cc')(
  'a command of which one system call fails, or that is killed at one, leaves nothing behind',
  { timeout: 180_000 },
  async () => {
    const { code, output } = await run('--sample', '20', '--seed', '4', '--acts', 'fail,kill,killhost');
    expect(output).toMatch(/^faults: [1-9]\d* points, \d+ not reached, 0 failed$/m);
    expect(code).toBe(0);
  },
);

testIf('root', 'busybox', 'cc')(
  'a command that a system call is denied to ends, and leaves nothing behind',
  { timeout: 180_000 },
  async () => {
    // Each of these once left a container, or did not end: pidfd_open, pidfd_send_signal, by ENOSYS and by EPERM.
    const numbers = [434, 424];
    const points = ['run', 'create-userns', 'run-rootfs'].flatMap((scenario) =>
      numbers.flatMap((number) => [38, 1].map((errno) => fail(scenario, { denied: [[number, errno]] }))),
    );
    const file = join(directory, 'points.json');
    writeFileSync(file, JSON.stringify(points));
    const { code, output } = await run('--points', file);
    expect(output).toContain(`faults: ${points.length} points, 0 not reached, 0 failed`);
    expect(code).toBe(0);
  },
);
