import { execFileSync, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { runts, startRunts } from '../cli/runts.ts';
import { dockerFiles, type Files, type Member, ociFiles, ociImage, packFiles, tar } from '../support/archives.ts';
import { removeData } from '../support/remove-data.ts';
import { testIf } from '../support/requires.ts';
import { type TemporaryDirectory, temporaryDirectory } from '../support/rootfs.ts';

const test = testIf('userns', 'busybox');
const isRoot = process.getuid?.() === 0;
/** Files of several owners want several ids. */
const testOwners = isRoot ? testIf('root', 'busybox') : testIf('subuids', 'busybox');

let directory: TemporaryDirectory;
const at = (name: string) => join(directory.path, name);
const env = () => ({ XDG_DATA_HOME: directory.path, XDG_RUNTIME_DIR: directory.path });
const containers = () => (existsSync(at('runts/containers')) ? readdirSync(at('runts/containers')) : []);

beforeAll(() => {
  directory = temporaryDirectory();
  // The containers' users are to get in, whoever runs this.
  chmodSync(directory.path, 0o755);
});
afterAll(async () => {
  await removeData(at('runts'));
  await directory.remove();
});

const busybox: Member[] = ['sh', 'id', 'ls', 'cat', 'sleep', 'env', 'echo'].map((name) => ({
  name: `bin/${name}`,
  type: '2',
  link: 'busybox',
}));
const base = (): Buffer =>
  tar(
    { name: 'bin/' },
    { name: 'bin/busybox', content: readFileSync('/bin/busybox'), mode: 0o755 },
    ...busybox,
    { name: 'etc/passwd', content: 'root:x:0:0::/root:/bin/sh\nweb:x:33:44::/srv/web:/bin/sh\n' },
    { name: 'etc/group', content: 'root:x:0:\nweb:x:44:\nextra:x:55:web\nother:x:66:\n' },
    { name: 'srv/web/', uid: 33, gid: 44, mode: 0o750 },
    { name: 'srv/web/page', content: 'hello', uid: 33, gid: 44, mode: 0o640 },
    { name: 'bin/su', content: '#!/bin/sh\n', mode: 0o4755 },
    { name: 'gone/', mode: 0o755 },
    { name: 'gone/file', content: 'x' },
    { name: 'lib', type: '2', link: 'usr/lib' },
  );

/** An image of two layers as a docker archive: the second removes `gone` and writes through the link `lib`. */
function dockerArchive(name: string, config: object, extra: readonly Member[] = []): string {
  const second = tar({ name: '.wh.gone' }, { name: 'usr/lib/' }, { name: 'lib/made', content: 'through' }, ...extra);
  writeFileSync(at(name), packFiles(dockerFiles({ layers: [base(), second], config })));
  return at(name);
}
const run = (image: string, ...args: string[]) => runts(['run', '--image', image, ...args], { env: env() });

describe('what an image says', () => {
  const script = 'echo "$0 $*"; echo $PWD $A $HOME; ls -l / | grep -c gone; cat /usr/lib/made';
  const config = {
    Entrypoint: ['/bin/sh', '-c', script],
    Cmd: ['one', 'two'],
    Env: ['A=b c', 'PATH=/bin'],
    WorkingDir: '/srv',
  };

  test('entrypoint and command, variables and working directory count until options say otherwise', async () => {
    const image = dockerArchive('config.tar', config);
    expect(await run(image)).toMatchObject({ code: 0, stdout: 'one two\n/srv b c /root\n0\nthrough' });
    expect((await run(image, 'three')).stdout).toMatch(/^three \n/);
    expect((await run(image, '--entrypoint', '/bin/echo')).stdout).toBe('\n');
    expect((await run(image, '-e', 'A=x', '-w', '/etc', 'y')).stdout).toMatch(/^y \n\/etc x \/root\n/);
    expect(containers()).toEqual([]);
  });

  testOwners.each([
    [{ User: 'web' }, [], 'uid=33(web) gid=44(web) groups=44(web),55(extra)'],
    [{ User: 'web:other' }, [], 'uid=33(web) gid=66(other) groups=66(other)'],
    [{ User: '1234:77' }, [], 'uid=1234 gid=77 groups=77'],
    [{ User: 'web' }, ['-u', '0'], 'uid=0(root) gid=0(root) groups=0(root)'],
  ])('%j with %j runs as %s', async (user, args, id) => {
    const image = dockerArchive('user.tar', { ...user, Cmd: ['/bin/sh', '-c', 'id'], Env: ['PATH=/bin'] });
    expect((await run(image, ...args)).stdout).toBe(`${id}\n`);
  });

  test.each([
    [{ User: 'ghost', Cmd: ['/bin/id'] }, 'there is no user "ghost"'],
    [{ User: 'web:ghosts', Cmd: ['/bin/id'] }, 'there is no group "ghosts"'],
    [{}, 'no command: give command, or an image with Cmd or Entrypoint'],
    [{ Cmd: ['/bin/id'], StopSignal: 'SIGNOPE' }, 'unknown signal "SIGNOPE"'],
  ])('%j is refused', async (wrong, reason) => {
    const { code, stderr } = await run(dockerArchive('wrong.tar', wrong));
    expect({ code, stderr }).toEqual({ code: 125, stderr: expect.stringContaining(reason) });
    expect(containers()).toEqual([]);
  });
});

testOwners('files have the owners and modes of the image, also those of other users', async () => {
  const image = dockerArchive('owners.tar', { Env: ['PATH=/bin'] });
  const { stdout } = await run(image, 'sh', '-c', 'ls -lnd /srv/web /srv/web/page /bin/su /etc/passwd');
  const columns = stdout
    .trimEnd()
    .split('\n')
    .map((line) => line.split(/ +/));
  expect(columns.map(([mode, , uid, gid, , , , , path]) => `${path} ${mode} ${uid} ${gid}`)).toEqual([
    '/bin/su -rwsr-xr-x 0 0',
    '/etc/passwd -rw-r--r-- 0 0',
    '/srv/web drwxr-x--- 33 44',
    '/srv/web/page -rw-r----- 33 44',
  ]);
  expect((await run(image, '-u', 'web', 'cat', '/srv/web/page')).stdout).toBe('hello');
  expect((await run(image, '-u', '77', 'cat', '/srv/web/page')).stderr).toContain('Permission denied');
});

describe('hostile and damaged images end in one clear error, and nothing is left', () => {
  const image = (extra: Member) =>
    packFiles(dockerFiles({ layers: [base(), tar(extra)], config: { Cmd: ['/bin/id'] } }));
  const oci = (): { files: Files; layer: string } => {
    // One that is not unpacked yet.
    const { files, descriptor } = ociImage({
      layers: [base(), tar({ name: 'other', content: randomBytes(4_000_000).toString('hex') })],
      config: { Cmd: ['/bin/id'] },
    });
    const layer = Object.keys(files).sort((a, b) => files[b]!.length - files[a]!.length)[0] as string;
    return { files: ociFiles([descriptor], files), layer };
  };
  const flipped = (bytes: Buffer): Buffer => {
    const copy = Buffer.from(bytes);
    copy[copy.length - 5]! ^= 1;
    return copy;
  };

  test.each<[string, () => Buffer | Files, RegExp]>([
    ['not an archive', () => Buffer.alloc(5000, 'x'), /it is not a tar archive/],
    ['empty', () => Buffer.alloc(0), /it is empty/],
    ['truncated', () => image({ name: 'x', content: 'y' }).subarray(0, 300_000), /the archive is truncated/],
    ['a root file system', () => base(), /It looks like a root file system/],
    [
      'a name that climbs out',
      () => image({ name: '../../climbed', content: 'x' }),
      /"\.\.\/\.\.\/climbed": the name climbs out/,
    ],
    ['a link that climbs out', () => image({ name: 'x', type: '1', link: '../../etc/passwd' }), /climbs out/],
    ['an owner that no container has', () => image({ name: 'x', uid: 70_000 }), /belongs to user 70000/],
    [
      'a layer with a wrong digest',
      () => {
        const { files, layer } = oci();
        return { ...files, [layer]: flipped(files[layer] as Buffer) };
      },
      /wrong digest|damaged|incorrect/,
    ],
  ])('%s', async (name, make, reason) => {
    const made = make();
    const path = at(name.replace(/ /g, '-'));
    if (Buffer.isBuffer(made)) writeFileSync(path, made);
    else {
      for (const [file, content] of Object.entries(made)) {
        mkdirSync(dirname(join(path, file)), { recursive: true });
        writeFileSync(join(path, file), content);
      }
    }
    const { code, stdout, stderr } = await run(path);
    expect({ code, stdout }).toEqual({ code: 125, stdout: '' });
    expect(stderr).toMatch(reason);
    expect(stderr).not.toContain('internal error');
    expect(containers()).toEqual([]);
  });

  test('a link in a lower layer leads a file of an upper one to the image’s own tree, not to ours', async () => {
    const name = `runts-escape-${process.pid}`;
    const path = dockerArchive('escape.tar', { Cmd: ['/bin/ls', '/tmp'], Env: ['PATH=/bin'] }, [
      { name: 'out', type: '2', link: '/tmp' },
      { name: `out/${name}`, content: 'x' },
    ]);
    expect((await run(path)).stdout).toBe(`${name}\n`);
    expect(existsSync(`/tmp/${name}`)).toBe(false);
  });

  test('a file that is not there, and one that is compressed as a whole', async () => {
    expect(await run(at('nosuch'))).toMatchObject({ code: 125, stderr: expect.stringContaining('no such file') });
    const path = dockerArchive('whole.tar', { Cmd: ['/bin/echo', 'hi'] });
    execFileSync('gzip', ['-f', path]);
    expect((await run(`${path}.gz`)).stdout).toBe('hi\n');
  });
});

describe('the unpacked tree goes', () => {
  const left = () => expect.poll(containers, { timeout: 10_000 }).toEqual([]);

  test('when we are killed while the container runs', async () => {
    const image = dockerArchive('killed.tar', {
      Cmd: ['/bin/sh', '-c', 'echo up; exec sleep 100'],
      Env: ['PATH=/bin'],
    });
    const { child, shows, ended } = startRunts(['run', '--image', image], { env: env() });
    await shows('up');
    expect(containers()).toHaveLength(1);
    child.kill('SIGKILL');
    await ended;
    await left();
  });

  test.each(['SIGKILL', 'SIGTERM'] as const)('on %s while it is being unpacked', async (signal) => {
    const partial = () =>
      existsSync(at('runts/layers'))
        ? readdirSync(at('runts/layers')).filter((name) => name.startsWith('.partial'))
        : [];
    const many = Array.from({ length: 5000 }, (_, i) => ({ name: `many/${i}`, content: `${signal}${i}`.repeat(2000) }));
    const image = dockerArchive('large.tar', { Cmd: ['/bin/id'] }, many);
    // Of an earlier one.
    for (const name of partial()) rmSync(at(`runts/layers/${name}`), { recursive: true });
    const { child, ended } = startRunts(['run', '--image', image], { env: env() });
    await expect
      .poll(() => partial().some((name) => existsSync(at(`runts/layers/${name}/diff/many`))), {
        interval: 5,
        timeout: 10_000,
      })
      .toBe(true);
    child.kill(signal);
    const { code, stdout, stderr } = await ended;
    expect({ code, stdout, stderr }).toEqual({ code: signal === 'SIGKILL' ? null : 143, stdout: '', stderr: '' });
    await left();
  });
});

testIf(
  'userns',
  'busybox',
  'umoci',
  'skopeo',
)('an image by umoci runs from its layout and from the archives that skopeo makes', async () => {
  const rootless = isRoot ? [] : ['--rootless'];
  const umoci = (...args: string[]) => execFileSync('umoci', args, { stdio: 'pipe' });
  const image = `${at('layout')}:bb`;
  const source = at('bb');
  mkdirSync(source);
  execFileSync('cp', ['/bin/busybox', source]);
  umoci('init', '--layout', at('layout'));
  umoci('new', '--image', image);
  umoci('insert', ...rootless, '--image', image, join(source, 'busybox'), '/bin/busybox');
  umoci(
    'config',
    '--image',
    image,
    '--config.entrypoint',
    '/bin/busybox',
    '--config.cmd',
    'echo',
    '--config.cmd',
    'made by umoci',
  );
  const copy = (to: string) =>
    execFileSync('skopeo', ['--insecure-policy', 'copy', `oci:${image}`, to], { stdio: 'pipe' });
  copy(`docker-archive:${at('skopeo-docker.tar')}:bb:latest`);
  copy(`oci-archive:${at('skopeo-oci.tar')}`);
  for (const name of ['layout', 'skopeo-docker.tar', 'skopeo-oci.tar']) {
    expect(await run(at(name)), name).toMatchObject({ code: 0, stdout: 'made by umoci\n', stderr: '' });
  }
  expect(spawnSync('ls', [at('runts/containers')], { encoding: 'utf8' }).stdout).toBe('');
});

testIf(
  'userns',
  'busybox',
  'buildah',
  'root',
)(
  'an image by buildah runs by the name that its archive has, and by its id where it has none',
  { timeout: 60_000 },
  async () => {
    const store = ['--root', at('buildah'), '--runroot', at('buildah-run'), '--storage-driver', 'vfs'];
    const buildah = (verb: string, ...args: string[]) =>
      execFileSync('buildah', [...store, verb, ...args], { stdio: 'pipe', encoding: 'utf8' }).trim();
    const container = buildah('from', 'scratch');
    buildah('copy', container, '/bin/busybox', '/bin/busybox');
    buildah('config', '--cmd', '["/bin/busybox","echo","made by buildah"]', container);
    buildah('commit', '-q', container, 'made/here:1');
    const load = async (archive: string, name: string) => {
      buildah('push', '-q', 'made/here:1', `oci-archive:${at(archive)}${name}`);
      return (await runts(['load', '-i', at(archive)], { env: env() })).stdout;
    };
    const made = { code: 0, stdout: 'made by buildah\n', stderr: '' };
    const id = /^Loaded image ID: (sha256:[0-9a-f]{64})\n$/.exec(await load('unnamed.tar', ''))?.[1];
    expect(await run(id!)).toMatchObject(made);
    expect(await load('named.tar', ':made/here:1')).toBe('Loaded image: made/here:1\n');
    expect(await run('made/here:1')).toMatchObject(made);
  },
);
