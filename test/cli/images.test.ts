import { execFileSync } from 'node:child_process';
import { chmodSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import * as archives from '../support/archives.ts';
import { testIf } from '../support/requires.ts';
import { temporaryDirectory } from '../support/unpacked.ts';
import { runts } from './runts.ts';

/** The command line with a data directory of its own. */
async function machine() {
  const directory = await temporaryDirectory();
  const rootfs = join(directory, 'root.tar');
  writeFileSync(rootfs, archives.tar({ name: 'file', content: 'hello' }));
  const env = { XDG_DATA_HOME: join(directory, 'data') };
  return {
    directory,
    rootfs,
    call: (...args: string[]) => runts(args, { env }),
    async does(...args: string[]): Promise<string> {
      const { code, stdout, stderr } = await runts(args, { env });
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      return stdout;
    },
  };
}

test('an image is imported, tagged, listed, inspected, saved, removed and loaded, in docker’s words', async () => {
  const { directory, rootfs, call, does } = await machine();
  const id = (await does('import', '-c', 'CMD ["sh"]', '-m', 'by hand', rootfs, 'bb:1')).trim();
  expect(id).toMatch(/^sha256:[0-9a-f]{64}$/);
  await does('tag', 'bb:1', 'localhost:5000/x/bb');
  const short = id.slice(7, 19);
  const [head, ...lines] = (await does('images')).trimEnd().split('\n');
  expect(head).toMatch(/^REPOSITORY {11,}TAG {7,}IMAGE ID {7}CREATED +SIZE$/);
  expect(lines.map((line) => line.split(/ {2,}/).slice(0, 3))).toEqual([
    ['bb', '1', short],
    ['localhost:5000/x/bb', 'latest', short],
  ]);
  expect(await does('images', '-q')).toBe(`${short}\n`);
  expect(await does('image', 'ls', '--format', '{{.Repository}}:{{.Tag}}', 'bb')).toBe('bb:1\n');
  const [inspected] = JSON.parse(await does('image', 'inspect', 'bb:1')) as { RepoTags: string[]; Config: object }[];
  expect(inspected).toMatchObject({ RepoTags: ['bb:1', 'localhost:5000/x/bb:latest'], Config: { Cmd: ['sh'] } });
  expect(await does('image', 'inspect', '-f', '{{json .Config.Cmd}}', short)).toBe('["sh"]\n');
  expect(await does('history', 'bb:1')).toMatch(new RegExp(`^IMAGE .*COMMENT\n${short} .*by hand\n$`));

  const saved = join(directory, 'saved.tar');
  await does('save', '-o', saved, 'bb:1');
  expect(await does('rmi', 'bb:1')).toMatch(/^Untagged: bb:1\nUntagged: bb@sha256:[0-9a-f]{64}\n$/);
  expect(await does('image', 'rm', short)).toContain(`Deleted: ${id}\n`);
  expect(JSON.parse(await does('images', '--json'))).toEqual([]);
  expect(await does('load', '-i', saved)).toBe('Loaded image: bb:1\n');
  expect(await does('image', 'prune', '-af')).toMatch(
    /^Deleted Images:\nuntagged: [\s\S]*\n\nTotal reclaimed space: [\d.]+kB\n$/,
  );
  expect(await call('rmi', 'bb:1')).toMatchObject({ code: 1, stderr: expect.stringContaining('No such image: bb:1') });
});

test('what is missing does not keep the rest from being done, and is told by the exit code', async () => {
  const { rootfs, call, does } = await machine();
  await does('import', rootfs, 'bb:1');
  const { code, stdout, stderr } = await call('rmi', 'nope', 'bb:1');
  expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining('No such image: nope') });
  expect(stdout).toContain('Untagged: bb:1');
});

test('image verify reads every blob, and tells by its words and its exit code what is damaged or missing', async () => {
  const { directory, rootfs, call, does } = await machine();
  const id = (await does('import', rootfs, 'bb:1')).trim();
  expect(await does('image', 'verify')).toMatch(/^3 blobs, [\d.]+kB: all of them are what their digests say\n$/);
  const blobs = join(directory, 'data', 'runts', 'images', 'blobs', 'sha256');
  const [layer = ''] = (JSON.parse(await does('image', 'inspect', 'bb:1')) as [{ RootFS: { Layers: string[] } }])[0]
    .RootFS.Layers;
  chmodSync(join(blobs, layer.slice(7)), 0o644);
  writeFileSync(join(blobs, layer.slice(7)), 'something else');
  const damaged = await call('image', 'verify');
  expect(damaged).toMatchObject({ code: 1, stdout: expect.stringContaining(`damaged: ${layer}: `) });
  expect(damaged.stderr).toContain('of 3 blobs 1 are damaged, and 0 are missing');
  rmSync(join(blobs, id.slice(7)));
  const { code, stdout } = await call('image', 'verify', '--json');
  expect(code).toBe(1);
  expect(JSON.parse(stdout)).toMatchObject({ blobs: 2, damaged: [{ digest: layer }], missing: [{ digest: id }] });
});

test.each([
  [['image', 'verify', 'bb:1'], 'requires no arguments'],
  [['image'], 'requires a command'],
  [['image', 'lss'], 'Did you mean ls'],
  [['tag', 'a'], 'exactly 2 arguments'],
  [['images', '--format', '{{range .}}'], 'is not understood'],
  [['images', '--filter', 'x=y'], 'invalid filter'],
  [['import', '/nowhere', 'a'], 'no such file'],
  [['load', '-i', '/nowhere'], 'no such file'],
  [['login', '-u', 'me', 'localhost:1'], '--password-stdin is missing'],
])('%j says what is wrong', async (args, message) => {
  const { rootfs, call, does } = await machine();
  // A template is about an image.
  if (args.includes('--format')) await does('import', rootfs, 'bb:1');
  expect(await call(...args)).toMatchObject({ code: 1, stderr: expect.stringContaining(message) });
});

testIf('podman')('podman loads what is saved', async () => {
  const { directory, rootfs, does } = await machine();
  const id = (await does('import', rootfs, 'bb:1')).trim();
  const saved = join(directory, 'saved.tar');
  await does('save', '-o', saved, 'bb:1');
  const store = ['--root', join(directory, 'root'), '--runroot', join(directory, 'run'), '--storage-driver', 'vfs'];
  const podman = (...args: string[]) =>
    execFileSync('podman', [...store, ...args], { encoding: 'utf8', stdio: 'pipe' });
  expect(podman('load', '-i', saved)).toContain('docker.io/library/bb:1');
  expect(podman('image', 'inspect', '--format', '{{.Id}}', 'bb:1').trim()).toBe(id.slice(7));
});
