import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished } from 'vitest';
import { startRegistry } from '../images/registry/daemon.ts';
import { configFor, publish } from '../images/registry/images.ts';
import { removeData } from '../support/remove-data.ts';
import { testIf } from '../support/requires.ts';
import { inTerminal, runts } from './runts.ts';

const test = testIf('userns', 'docker-registry');

/** A registry with an image, and a user who has nothing yet. */
async function machine() {
  const directory = mkdtempSync(join(tmpdir(), 'runts-test-'));
  onTestFinished(async () => {
    await removeData(join(directory, 'runts'));
    rmSync(directory, { recursive: true, force: true });
  });
  const { host } = await startRegistry();
  await publish(host, 'tools/app:1', [300_000, 200_000], configFor(directory));
  const env = { XDG_DATA_HOME: directory, DOCKER_CONFIG: directory, XDG_CONFIG_HOME: directory };
  return { directory, env, name: `${host}/tools/app:1` };
}

const terminal = testIf('userns', 'docker-registry', 'script');

terminal('on a terminal a pull shows a bar for each layer, and ends as docker’s does', async () => {
  const { env, name } = await machine();
  const { ended } = inTerminal(`$RUNTS pull ${name}`, { env });
  const { code, stdout } = await ended;
  expect(code).toBe(0);
  expect(stdout).toMatch(/^1: Pulling from tools\/app\r\n/);
  expect(stdout).toMatch(/[0-9a-f]{12}: Downloading \[[=> ]+\] [\d.]+k?B\/[\d.]+kB/);
  expect(stdout).toMatch(/\x1b\[2A(\x1b\[2K[0-9a-f]{12}: Pull complete\s+){2}/);
  const end = [/Digest: sha256:[0-9a-f]{64}/, new RegExp(`Status: Downloaded newer image for ${name}`), name];
  const lines = stdout.trimEnd().split(/\r?\n/).slice(-3);
  for (const [i, line] of lines.entries()) expect(line).toMatch(end[i]!);
});

test('without one it writes lines, and a second pull says that nothing is newer', async () => {
  const { env, name } = await machine();
  const first = await runts(['pull', name], { env });
  expect(first.stdout).not.toContain('\x1b');
  expect(first.stdout.match(/^[0-9a-f]{12}: Pull complete$/gm)).toHaveLength(2);
  const { stdout } = await runts(['pull', name], { env });
  expect(stdout.match(/^[0-9a-f]{12}: Already exists$/gm)).toHaveLength(2);
  expect(stdout).toContain(`Status: Image is up to date for ${name}\n`);
  expect((await runts(['pull', '-q', name], { env })).stdout).toBe(`${name}\n`);
});

test('run tells about a pull on standard error, which is not the command’s output', async () => {
  const { env, name } = await machine();
  const { code, stdout, stderr } = await runts(['run', '--image', name, '--', '/none'], { env });
  expect({ code, stdout }).toEqual({ code: 127, stdout: '' });
  expect(stderr).toContain(`Unable to find image '${name}' locally\n1: Pulling from tools/app\n`);
  expect(stderr).toContain(`Status: Downloaded newer image for ${name}\n`);
  const again = await runts(['run', '--image', name, '--pull', 'never', '--', '/none'], { env });
  expect(again.stderr).not.toContain('Pulling');
});

test.each(['/proc', 'a-file'])('a data directory below %s is refused, and it is said why', async (place) => {
  const { directory, env, name } = await machine();
  writeFileSync(join(directory, 'a-file'), '');
  const path = place === '/proc' ? place : join(directory, place);
  const { code, stderr } = await runts(['pull', name], { env: { ...env, XDG_DATA_HOME: path } });
  expect({ code, stderr }).toEqual({
    code: 1,
    stderr: expect.stringMatching(/the image store cannot make its directory .*(ENOENT|ENOTDIR|EACCES).*XDG_DATA_HOME/),
  });
});

test('image rm --help is the help of rm', async () => {
  const { stdout } = await runts(['image', 'rm', '--help']);
  expect(stdout).toContain('--force');
});
