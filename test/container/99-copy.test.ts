import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { gzipSync } from 'node:zlib';
import { expect, onTestFinished } from 'vitest';
import {
  type CommonOptions,
  type Container,
  type ContainerOptions,
  createContainer,
  createRuntime,
} from '../../lib/index.ts';
import { type TarEvent, TarReader } from '../../lib/layers/tar.ts';
import { written as archive } from '../support/archives.ts';
import { testIf } from '../support/requires.ts';
import { temporaryDirectory } from '../support/unpacked.ts';

const test = testIf('userns');

async function membersOf(tar: Readable): Promise<Record<string, string>> {
  const reader = new TarReader();
  const found: Record<string, string> = {};
  let name = '';
  const take = (event: TarEvent): void => {
    if (event.kind === 'entry') {
      const { type, linkName } = event.entry;
      name = event.entry.name;
      found[name] = type === 'file' ? '' : linkName === '' ? type : `${type} ${linkName}`;
    } else if (event.kind === 'data') found[name] += event.bytes.toString();
  };
  for await (const chunk of tar) {
    reader.feed(chunk);
    for (let event = reader.next(); event !== undefined; event = reader.next()) take(event);
  }
  reader.finish();
  return found;
}

const box = async (options: Partial<CommonOptions> = {}): Promise<Container> => {
  const container = await createContainer({ host: true, command: ['sleep', '1000'], ...options });
  return container.start();
};
const shell = async (container: Container, script: string): Promise<string> =>
  (await container.exec(['sh', '-c', script])).stdout;

test('what is copied in has its content, mode, owner and time, and is the container’s', async () => {
  await using container = await box();
  await container.copyIn(
    archive(
      { name: 'd/', type: 'directory', mode: 0o750 },
      { name: 'd/file', text: 'hello', mode: 0o640 },
      { name: 'd/again', type: 'link', target: 'd/file' },
      { name: 'd/way', type: 'symlink', target: 'file' },
    ),
    '/tmp',
  );
  expect(
    await shell(container, 'stat -c "%n %a %u:%g %Y %h" /tmp/d /tmp/d/file; cat /tmp/d/way; readlink /tmp/d/way'),
  ).toBe('/tmp/d 750 0:0 1700000000 2\n/tmp/d/file 640 0:0 1700000000 2\nhellofile\n');
});

testIf('userns', 'root')('an owner is an id of the container', async () => {
  await using container = await box();
  await container.copyIn(archive({ name: 'mine', text: 'x', uid: 1000, gid: 1001 }), '/tmp');
  expect(await shell(container, 'stat -c %u:%g /tmp/mine')).toBe('1000:1001\n');
  await expect(container.copyIn(archive({ name: 'far', uid: 2_000_000_000 }), '/tmp')).rejects.toMatchObject({
    message: expect.stringContaining('2000000000'),
  });
});

test('a compressed archive is copied, too', async () => {
  await using container = await box();
  const plain = Buffer.concat(await archive({ name: 'a', text: 'zipped' }).toArray());
  await container.copyIn(Readable.from([gzipSync(plain)]), '/tmp');
  expect(await shell(container, 'cat /tmp/a')).toBe('zipped');
});

test('a container that has not been started takes files, and gives them', async () => {
  await using container = await createContainer({ host: true, command: ['cat', '/tmp/input'] });
  await container.copyIn(archive({ name: 'input', text: 'before the start' }), '/tmp');
  expect(await membersOf(await container.copyOut('/tmp/input'))).toEqual({ input: 'before the start' });
  await container.start();
  await container.wait();
  const lines = [];
  for await (const { text } of container.logs()) lines.push(text);
  expect(lines).toEqual(['before the start']);
});

test('links of the container lead inside it, wherever they point', async () => {
  const outside = mkdtempSync(join(tmpdir(), 'runts-test-'));
  onTestFinished(() => rmSync(outside, { recursive: true }));
  writeFileSync(join(outside, 'secret'), 'of the host');
  await using container = await box();
  await shell(
    container,
    `mkdir -p /tmp/real; ln -s ${outside} /tmp/out; ln -s /tmp/real /tmp/in; ln -s ../../../../../..${outside} /tmp/up; ln -s /proc/1/root${outside} /tmp/magic`,
  );
  await container.copyIn(archive({ name: 'in/made', text: '1' }), '/tmp');
  expect(await shell(container, 'cat /tmp/real/made')).toBe('1');
  for (const way of ['out', 'up', 'magic']) {
    await container.copyIn(archive({ name: `${way}/secret`, text: 'overwritten' }), '/tmp').catch(() => undefined);
    await container.copyIn(archive({ name: 'secret', text: 'overwritten' }), `/tmp/${way}`).catch(() => undefined);
    const copied = await container.copyOut(`/tmp/${way}/secret`).then(membersOf, () => ({}));
    expect(JSON.stringify(copied)).not.toContain('of the host');
  }
  expect(readFileSync(join(outside, 'secret'), 'utf8')).toBe('of the host');
  await expect(container.copyIn(archive({ name: '../../escape' }), '/tmp')).rejects.toThrow('climbs out');
  expect(await membersOf(await container.copyOut('/tmp/in'))).toEqual({ in: 'symlink /tmp/real' });
});

test('what is there stays: no directory goes for a file, no file for a directory', async () => {
  await using container = await box();
  await shell(container, 'mkdir -p /tmp/d/kept; echo old > /tmp/f; echo old > /tmp/other');
  await expect(container.copyIn(archive({ name: 'd', text: 'x' }), '/tmp')).rejects.toMatchObject({
    code: 'ERR_EXISTS',
    message: expect.stringContaining('"/tmp/d"'),
  });
  await expect(container.copyIn(archive({ name: 'd', type: 'symlink', target: '/' }), '/tmp')).rejects.toMatchObject({
    code: 'ERR_EXISTS',
  });
  await expect(container.copyIn(archive({ name: 'f', type: 'directory' }), '/tmp')).rejects.toMatchObject({
    code: 'ERR_EXISTS',
  });
  await container.copyIn(archive({ name: 'd', type: 'directory' }, { name: 'f', text: 'new' }), '/tmp');
  expect(await shell(container, 'ls /tmp/d; cat /tmp/f /tmp/other')).toBe('kept\nnewold\n');
});

test('a place that is not there, or read-only, is refused in words', async () => {
  await using container = await box({ readonly: true, mounts: [{ type: 'tmpfs', target: '/tmp' }] });
  const one = () => archive({ name: 'x', text: '1' });
  await expect(container.copyIn(one(), '/tmp/none')).rejects.toMatchObject({ code: 'ERR_NOT_FOUND' });
  await expect(container.copyIn(one(), '/usr')).rejects.toMatchObject({
    code: 'ERR_STATE',
    message: expect.stringContaining('read-only'),
  });
  await expect(container.copyIn(one(), 'tmp')).rejects.toMatchObject({ code: 'ERR_SPEC' });
  await expect(container.copyOut('/tmp/none')).rejects.toMatchObject({ code: 'ERR_NOT_FOUND' });
  await expect(container.copyOut('/none/x')).rejects.toMatchObject({ code: 'ERR_NOT_FOUND' });
  await container.copyIn(one(), '/tmp');
  await expect(container.copyIn(Readable.from([Buffer.alloc(700, 1)]), '/tmp')).rejects.toThrow('cannot copy');
  await container.remove({ force: true });
  await expect(container.copyIn(one(), '/tmp')).rejects.toMatchObject({ code: 'ERR_STATE' });
});

test('what is copied out is an archive of what is there, mounts too', async () => {
  await using container = await box({ mounts: [{ type: 'tmpfs', target: '/data' }] });
  await shell(container, 'mkdir -p /data/d/e; echo 1 > /data/d/one; ln -s one /data/d/two; mkfifo /data/d/pipe');
  expect(await membersOf(await container.copyOut('/data'))).toEqual({
    'data/': 'directory',
    'data/d/': 'directory',
    'data/d/e/': 'directory',
    'data/d/one': '1\n',
    'data/d/two': 'symlink one',
    'data/d/pipe': 'fifo',
  });
  expect(await membersOf(await container.copyOut('/data/d/one'))).toEqual({ one: '1\n' });
  // In again, elsewhere: a copy.
  await container.copyIn(await container.copyOut('/data/d'), '/tmp');
  expect(await shell(container, 'cat /tmp/d/two')).toBe('1\n');
});

test('a copy that waits for its source ends with a signal, and with the container', async () => {
  const waiting = () =>
    Readable.from(
      (async function* () {
        yield* archive({ name: 'a', text: 'x' });
        await new Promise(() => {});
      })(),
    );
  await using container = await box();
  const controller = new AbortController();
  const canceled = container.copyIn(waiting(), '/tmp', { signal: controller.signal });
  controller.abort();
  await expect(canceled).rejects.toMatchObject({ code: 'ERR_CANCELED' });

  const left = container.copyIn(waiting(), '/tmp');
  const unread = await container.copyOut('/usr');
  const settled = expect(left).rejects.toMatchObject({ code: 'ERR_CANCELED' });
  await container.remove({ force: true });
  await settled;
  await expect(unread.toArray()).rejects.toMatchObject({ code: 'ERR_CANCELED' });
});

/** The standard output of a process that has ended, which Node has not heard of yet. */
function endedOutput(bytes: Buffer): Readable {
  const directory = mkdtempSync(join(tmpdir(), 'runts-test-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  writeFileSync(join(directory, 'archive'), bytes);
  const child = spawn('cat', [join(directory, 'archive')], { stdio: ['ignore', 'pipe', 'ignore'] });
  while (!readFileSync(`/proc/${child.pid}/stat`, 'latin1').includes(') Z '));
  return child.stdout;
}

const packed = async () => Buffer.concat(await archive({ name: 'file', text: 'whole' }).toArray());

test('the output of a process that has ended is not lost', async () => {
  const bytes = await packed();
  await using runtime = createRuntime({ root: await temporaryDirectory() });
  for (const detached of [false, true]) {
    const options = { host: true, detached, command: ['sleep', '1000'] } as const;
    const container = await runtime.createContainer(options as ContainerOptions);
    await container.start();
    await container.copyIn(endedOutput(bytes), '/tmp');
    expect(await shell(container, 'cat /tmp/file'), `detached: ${detached}`).toBe('whole');
    await container.remove({ force: true });
  }
  const { images } = runtime;
  expect((await images.import(endedOutput(bytes))).size).toBeGreaterThan(512);
  await images.import(Readable.from([bytes]), { reference: 'one' });
  const saved = Buffer.concat(await (await images.save(['one'])).toArray());
  // What one pipe holds.
  expect(saved.length).toBeLessThan(65_536);
  expect((await images.load(endedOutput(saved)))[0]?.references).toEqual(['docker.io/library/one:latest']);
});

test('a stream whose content is gone is refused, and not taken for an empty archive', async () => {
  await using container = await box();
  const gone = endedOutput(await packed());
  await finished(gone.resume());
  await expect(container.copyIn(gone, '/tmp')).rejects.toMatchObject({
    code: 'ERR_SPEC',
    hint: expect.stringContaining('before anything is awaited'),
  });
  const broken = new Readable({ read: () => undefined });
  broken.on('error', () => undefined).destroy(new Error('of the source'));
  await expect(container.copyIn(broken, '/tmp')).rejects.toThrow('of the source');
});

test('a source that fails before it is read fails the copy, and not the process', async () => {
  await using container = await box();
  const source = new Readable({ read: () => undefined });
  const copying = container.copyIn(source, '/tmp');
  source.destroy(new Error('of the source'));
  await expect(copying).rejects.toThrow('of the source');
});
