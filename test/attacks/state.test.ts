// Other users of the machine: directories that they made first, and what is run with the right to hand out ids.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished } from 'vitest';
import { reserve } from '../../lib/host/state.ts';
import { createRuntime, run } from '../../lib/index.ts';
import { createHost } from '../../lib/node/host.ts';
import { run as runProgram } from '../../lib/node/run.ts';
import { dockerFiles, packFiles, tar } from '../support/archives.ts';
import { canary, isRoot, place } from '../support/attack.ts';
import { testIf } from '../support/requires.ts';

const userns = testIf('userns');

/** Makes a directory one that somebody else could put links into: theirs where we may give it away, else everybody's. */
function foreign(path: string): string {
  if (isRoot) fs.chownSync(path, 12345, 12345);
  else fs.chmodSync(path, 0o777);
  return path;
}

const stateIn = (stateDirectory: string) => {
  const host = createHost();
  return { ...host, environment: { ...host.environment, stateDirectory } };
};

userns("a state directory of somebody else's is not used, and their links lead to no removal", async () => {
  const host = canary();
  const state = place('state');
  fs.symlinkSync(host.path, join(state, 'web'));
  foreign(state);
  await expect(reserve(stateIn(state), 'web')).rejects.toMatchObject({ code: 'ERR_SETUP' });
  expect(fs.readdirSync(host.path).sort()).toEqual(['inner', 'passwd', 'secret']);
});

userns('nor through a link of theirs to a directory of ours', async () => {
  const state = place('state');
  const mine = place('mine');
  const link = join(state, 'runts');
  fs.symlinkSync(mine, link);
  if (isRoot) fs.lchownSync(link, 12345, 12345);
  const attempt = reserve(stateIn(link), 'web');
  // A link of our own is our own choice.
  if (isRoot) await expect(attempt).rejects.toMatchObject({ code: 'ERR_SETUP' });
  else await (await attempt).release();
});

userns("an image is not unpacked to a directory of somebody else's", async () => {
  const data = place('data');
  const image = imageIn(place('image'), {});
  await using ours = createRuntime({ root: data });
  expect(await ours.run(image, ['/bin/busybox', 'echo', 'ran'])).toMatchObject({ stdout: 'ran\n' });
  foreign(data);
  await using theirs = createRuntime({ root: data });
  await expect(theirs.run(image, ['/bin/busybox', 'true'])).rejects.toMatchObject({ code: 'ERR_SETUP' });
});

userns('a set-user-id program of an image is out of reach of the other users of the machine', async () => {
  const data = place('data');
  await using runtime = createRuntime({ root: data });
  const image = imageIn(place('image'), {});
  await using _container = await runtime.createContainer({ image, command: ['/bin/busybox', 'sleep', '60'] });
  const find = ['-name', 'busybox', '-perm', '-4000'];
  const found = spawnSync('find', [data, ...find], { encoding: 'utf8' })
    .stdout.trim()
    .split('\n');
  for (const file of found) {
    expect(file).toContain('busybox');
    const above = file.split('/').map((_, i, parts) => parts.slice(0, i + 1).join('/') || '/');
    const closed = above.filter((path) => path.startsWith(`${data}/`) && (fs.statSync(path).mode & 0o077) === 0);
    expect(closed).not.toEqual([]);
  }
});

/** What the configuration of an image says where it should not matter. */
const hostile = [
  { WorkingDir: '/proc/self/fd/5' },
  { WorkingDir: '/proc/1/root' },
  { WorkingDir: '/proc/self/cwd/../../..' },
  { WorkingDir: '../../../../..' },
  { Entrypoint: ['/proc/self/exe'] },
  { Env: ['LD_PRELOAD=/evil.so', 'NODE_OPTIONS=--require=/evil.js', 'PATH=/proc/self/fd/5:/proc/1/root/bin'] },
  { User: '4294967296' },
  { User: '-1:-1' },
] as const;

for (const config of hostile) {
  userns(`an image's ${JSON.stringify(config)} does not show the host`, async () => {
    await using runtime = createRuntime({ root: place('data') });
    const image = imageIn(place('image'), config);
    const command = ['/bin/busybox', 'sh', '-c', '/bin/busybox pwd; /bin/busybox cat etc/shadow ../etc/shadow'];
    const entrypoint = 'Entrypoint' in config ? {} : { entrypoint: command };
    const { stdout } = await runtime
      .run({ image, ...entrypoint, reject: false })
      .catch(({ code }) => ({ stdout: code }));
    expect(stdout).toMatch(/^(\/[a-z]*\n|ERR_(SPEC|SETUP|EXEC)|)$/);
  });
}

function imageIn(directory: string, config: object): string {
  const path = join(directory, 'image.tar');
  const busybox = { name: 'bin/busybox', content: fs.readFileSync('/bin/busybox'), mode: 0o4755 };
  const files = dockerFiles({ layers: [tar(busybox)], config });
  fs.writeFileSync(path, packFiles(files));
  return path;
}

// ---- what is given away, and what is run -------------------------------------------------------------------------------

// CVE-2026-88265. Outside of root's own namespace the kernel refuses; there, only we do.
testIf('root')("descriptors that the caller brought stay the caller's", async () => {
  const path = join(place('file'), 'input');
  fs.writeFileSync(path, 'hello');
  const stdin = fs.openSync(path, 'r');
  onTestFinished(() => fs.closeSync(stdin));
  const options = { host: true, userns: 'host', user: '12345', command: ['cat'] } as const;
  expect((await run({ ...options, stdin })).stdout).toBe('hello');
  expect(fs.statSync(path).uid).toBe(0);
  // The pipes that were made for it are its own: it can open them again.
  const again = await run({ ...options, command: ['sh', '-c', 'echo again > /dev/stdout'] });
  expect(again.stdout).toBe('again\n');
});

userns('programs of the host are run with no environment of ours, and by their full path only', async () => {
  process.env['LD_PRELOAD'] = '/nowhere/evil.so';
  onTestFinished(() => void delete process.env['LD_PRELOAD']);
  expect(await runProgram('/usr/bin/env', [])).toEqual({ code: 0, timedOut: false, stdout: '', stderr: '' });
  await expect(runProgram('env', [])).rejects.toMatchObject({ code: 'ERR_SPEC' });
});
