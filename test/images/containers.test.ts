import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { createGzip } from 'node:zlib';
import { expect, onTestFinished } from 'vitest';
import { parseReference } from '../../lib/images/reference.ts';
import { push } from '../../lib/images/transfer/push.ts';
import { createRuntime, type Runtime, type RuntimeOptions } from '../../lib/index.ts';
import { type Member, ociImage, sha256, tar, thisArchitecture } from '../support/archives.ts';
import { removeData } from '../support/remove-data.ts';
import { testIf } from '../support/requires.ts';
import { temporaryDirectory } from '../support/unpacked.ts';
import { startRegistry } from './registry/daemon.ts';
import { configFor, newStore, storeImage } from './registry/images.ts';

const test = testIf('userns', 'busybox', 'docker-registry');
const testHere = testIf('userns', 'busybox');

const base = tar(
  { name: 'bin/' },
  { name: 'bin/busybox', content: readFileSync('/bin/busybox'), mode: 0o755 },
  ...['sh', 'cat', 'ls', 'rm', 'sleep', 'echo', 'mkdir'].map(
    (name): Member => ({ name: `bin/${name}`, type: '2', link: 'busybox' }),
  ),
  { name: 'etc/passwd', content: 'root:x:0:0::/root:/bin/sh\n' },
);
const withFile = (content: string): Buffer => tar({ name: 'version', content });
const config = {
  Cmd: ['/bin/cat', '/version'],
  Env: ['PATH=/bin', 'A=1'],
  StopSignal: 'SIGINT',
  ExposedPorts: { '80/tcp': {} },
  Labels: { of: 'image' },
  Healthcheck: { Test: ['CMD', 'true'], Interval: 30_000_000_000, Retries: 3 },
};
const image = (version: string, more: Partial<Parameters<typeof ociImage>[0]> = {}) =>
  ociImage({ layers: [base, withFile(version)], config, ...more });

/** A runtime with a data directory of its own. */
async function temporaryRuntime(options: RuntimeOptions = {}): Promise<Runtime & { readonly data: string }> {
  const directory = mkdtempSync(join(tmpdir(), 'runts-test-'));
  // The containers' users are to get in, whoever runs this.
  chmodSync(directory, 0o755);
  const data = join(directory, 'data');
  const runtime = createRuntime({ root: data, state: join(directory, 'state'), ...options });
  onTestFinished(async () => {
    await runtime[Symbol.asyncDispose]();
    await removeData(data);
    rmSync(directory, { recursive: true, force: true });
  });
  return Object.assign(runtime, { data });
}

/** Puts an image into a registry. */
async function publish(name: string, version: Parameters<typeof storeImage>[2]): Promise<void> {
  const store = await newStore();
  await storeImage(store, name, version);
  await push(store, parseReference(name), { config: configFor(await temporaryDirectory()) });
}

const layersOf = (data: string): string[] =>
  existsSync(join(data, 'layers'))
    ? readdirSync(join(data, 'layers')).filter((name) => /^[0-9a-f]{64}/.test(name))
    : [];

test('a container of a name pulls the image where it is missing, and then needs no registry', async () => {
  const { host } = await startRegistry();
  const name = `${host}/tools/app:1`;
  await publish(name, image('one'));
  const runtime = await temporaryRuntime();
  await expect(runtime.run({ image: name, pull: 'never' })).rejects.toMatchObject({
    code: 'ERR_NOT_FOUND',
    message: `No such image: ${name}`,
  });
  expect((await runtime.run(name)).stdout).toBe('one');
  await publish(name, image('two'));
  expect((await runtime.run(name)).stdout).toBe('one');
  expect((await runtime.run({ image: name, pull: 'never' })).stdout).toBe('one');
  expect((await runtime.run({ image: name, pull: 'always' })).stdout).toBe('two');
  const [newest] = await runtime.images.list({ reference: `${host}/tools/app` });
  expect((await runtime.run({ image: newest!.id.slice(7, 19), pull: 'never' })).stdout).toBe('two');
});

test('a pull unpacks the layers, of this machine’s image only', async () => {
  const { host } = await startRegistry();
  const runtime = await temporaryRuntime();
  await publish(`${host}/ours`, image('ours'));
  const phases: string[] = [];
  await runtime.images.pull(`${host}/ours`, { onProgress: ({ phase }) => void phases.push(phase) });
  expect(layersOf(runtime.data)).toHaveLength(2);
  expect(phases).toEqual(expect.arrayContaining(['waiting', 'downloading', 'downloaded', 'extracting', 'done']));
  await publish(`${host}/theirs`, image('theirs', { architecture: 'mips' }));
  await runtime.images.pull(`${host}/theirs`);
  expect(layersOf(runtime.data)).toHaveLength(2);
  await expect(runtime.run(`${host}/theirs`)).rejects.toMatchObject({
    code: 'ERR_UNSUPPORTED',
    message: expect.stringContaining(`is for linux/mips, and this machine is linux/${thisArchitecture}`),
  });
});

test('a layer that is not what the configuration says ends the pull, without a name and without a trace of it', async () => {
  const { host } = await startRegistry();
  const runtime = await temporaryRuntime();
  const { files, descriptor } = image('honest');
  const manifest = JSON.parse(String(files[`blobs/${String(descriptor['digest']).replace(':', '/')}`]));
  const lying = ociImage({ layers: [base, withFile('other')], config }, { manifest: { config: manifest.config } });
  await publish(`${host}/liar`, { ...lying, files: { ...files, ...lying.files } });
  await expect(runtime.images.pull(`${host}/liar`)).rejects.toMatchObject({
    code: 'ERR_IMAGE',
    message: expect.stringContaining(sha256(withFile('honest'))),
  });
  expect(await runtime.images.list()).toEqual([]);
  expect(layersOf(runtime.data).length).toBeLessThan(2);
});

/** An image by the library alone. */
async function imported(runtime: Runtime, name: string): Promise<void> {
  const changes = ['CMD ["/bin/sh"]', 'ENV PATH=/bin', 'LABEL of=image', 'STOPSIGNAL SIGINT', 'EXPOSE 80'];
  changes.push('HEALTHCHECK --interval=30s --retries=3 CMD true');
  const archive = createGzip();
  archive.end(base);
  await runtime.images.import(archive, { reference: name, changes });
}

testHere('a container says what it was made of, ports, health check and labels too', async () => {
  const runtime = await temporaryRuntime();
  await imported(runtime, 'app:1');
  const { id, digest } = await runtime.images.get('app:1');
  await using container = await runtime.createContainer({ image: 'app:1', labels: { own: 'yes' } });
  const { image: made, labels } = await container.inspect();
  expect(labels).toEqual({ of: 'image', own: 'yes' });
  expect(made).toMatchObject({ reference: 'docker.io/library/app:1', id, digest });
  expect(made?.config).toMatchObject({
    ExposedPorts: { '80/tcp': {} },
    Healthcheck: { Test: ['CMD-SHELL', 'true'], Interval: 30_000_000_000, Retries: 3 },
    StopSignal: 'SIGINT',
  });
  expect((await runtime.images.get('app:1')).containers).toEqual([container.id]);
});

testHere('what a container has changed is told, becomes an image, and the image another container', async () => {
  const runtime = await temporaryRuntime();
  await imported(runtime, 'app:1');
  await using container = await runtime.createContainer({
    image: 'app:1',
    command: ['sh', '-c', 'rm /etc/passwd; mkdir /made; echo hi > /made/file; sleep 1000'],
    env: { B: '2' },
  });
  await container.start();
  await expect
    .poll(() => runtime.images.changes(container), { timeout: 10_000 })
    .toEqual([
      { kind: 'C', path: '/etc' },
      { kind: 'D', path: '/etc/passwd' },
      { kind: 'A', path: '/made' },
      { kind: 'A', path: '/made/file' },
    ]);
  const { id } = await runtime.images.commit(container.id.slice(0, 10), {
    reference: 'app:2',
    changes: ['CMD cat /made/file; ls /etc; echo $B'],
  });
  expect((await runtime.images.get('app:2')).id).toBe(id);
  expect((await runtime.run('app:2')).stdout).toBe('hi\n2\n');
  expect(await text(await runtime.images.export(container))).toContain('made/file');
  await expect(runtime.images.commit('nobody')).rejects.toMatchObject({ code: 'ERR_NOT_FOUND' });
});

testHere('nothing that a container uses is removed, and nothing stays that nobody needs', async () => {
  const runtime = await temporaryRuntime();
  await imported(runtime, 'app:1');
  const container = await runtime.createContainer({ image: 'app:1', command: ['sleep', '1000'] });
  await container.start();
  await expect(runtime.images.remove('app:1')).rejects.toMatchObject({ code: 'ERR_STATE' });
  await runtime.images.prune({ all: true, graceMs: 0 });
  expect((await runtime.images.get('app:1')).containers).toEqual([container.id]);
  await runtime.images.remove('app:1', { force: true });
  expect((await container.exec(['cat', '/etc/passwd'])).stdout).toContain('root');
  await container.remove({ force: true });
  await runtime.images.prune({ all: true, graceMs: 0 });
  expect(layersOf(runtime.data)).toEqual([]);
  expect(readdirSync(join(runtime.data, 'images/blobs/sha256'))).toEqual([]);
});

testHere('nobody waits for the disk on behalf of files that go; those of a detached container are on it', async () => {
  const runtime = await temporaryRuntime({ driver: 'overlay' });
  await imported(runtime, 'app:1');
  const mounted = /^\S+ \/ overlay (?<options>\S+)/;
  const optionsOf = (mounts: string) => mounted.exec(mounts)?.groups?.['options']?.split(',');
  const { stdout } = await runtime.run('app:1', ['cat', '/proc/self/mounts']);
  // The kernel tells it by either name.
  expect(optionsOf(stdout)).toContainEqual(expect.stringMatching(/^(fsync=)?volatile$/));
  // Nothing but the root is left of what it was put together from.
  expect(stdout.match(/ overlay /g)).toHaveLength(1);

  const command = ['sh', '-c', 'cat /made; echo more >>/made; cat /proc/self/mounts >/mounts'];
  const container = await runtime.createContainer({ image: 'app:1', detached: true, command });
  onTestFinished(() => container.remove({ force: true }));
  for (let i = 0; i < 2; i++) {
    await container.start();
    await container.wait();
  }
  // A union mount that is volatile cannot be made again.
  const lines: string[] = [];
  for await (const { stream, text: line } of container.logs()) if (stream === 'stdout') lines.push(line);
  expect(lines).toEqual(['more']);
  const archive = await text(await runtime.images.export(container));
  expect(optionsOf(archive.slice(archive.search(/\S+ \/ overlay /)))).toContain('userxattr');
  expect(archive).not.toContain('volatile');
});

testHere.each([
  ['app.tar', /^No such image: app\.tar$/, 'say ./app.tar'],
  ['./app.tar', /there is no such file or directory/, 'An image is a path'],
  ['Upper', /must be lower-case/, 'A name is as in'],
])('%s is no image, and it is said why', async (name, message, hint) => {
  const runtime = await temporaryRuntime();
  await expect(runtime.run(name)).rejects.toMatchObject({
    message: expect.stringMatching(message),
    hint: expect.stringContaining(hint),
  });
});

testHere('what a runtime cannot be made of is told at once', () => {
  const options = { root: 'relative', driver: 'btrfs', other: 1 } as unknown as RuntimeOptions;
  expect(() => createRuntime(options)).toThrow(
    expect.objectContaining({
      issues: [
        { path: '/root', message: expect.stringContaining('absolute') },
        { path: '/driver', message: expect.stringMatching(/^must be one of overlay, .*copy.*, not "btrfs"$/) },
        { path: '/other', message: expect.stringContaining('there are root, state, driver, registries') },
      ],
    }),
  );
  expect(() => createRuntime({ registries: { 'docker.io': { mirrors: ['ftp://x'] } } })).toThrow(
    '/docker.io/mirrors/0',
  );
});
