import { execFileSync } from 'node:child_process';
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, onTestFinished } from 'vitest';
import { type Container, createRuntime, type Runtime, type RuntimeOptions, ready } from '../../lib/index.ts';
import { Fixture } from '../lifetime/fixture.ts';
import { busyboxImage } from '../support/busybox-image.ts';
import { until } from '../support/look.ts';
import { removeData } from '../support/remove-data.ts';
import { patienceMs, testIf } from '../support/requires.ts';

const test = testIf('userns', 'busybox');

const { directory, path: image } = busyboxImage({
  entries: [
    ...['lower/', 'lower/deep/'].map((name) => ({ name })),
    { name: 'etc/passwd', content: 'root:x:0:0:root:/root:/bin/sh\n' },
    { name: 'lower/file', content: 'of the image' },
    { name: 'etc/gone', content: 'gone' },
  ],
  config: { Env: ['FROM=image'], Cmd: ['sleep', '1000'] },
});
afterAll(async () => {
  await removeData(join(directory, 'runts'));
  rmSync(directory, { recursive: true, force: true });
});

function runtimeWith(options: RuntimeOptions = {}): Runtime {
  const runtime = createRuntime({ root: join(directory, 'runts'), state: join(directory, 'state'), ...options });
  onTestFinished(() => runtime[Symbol.asyncDispose]());
  return runtime;
}
const shell = async (container: Container, script: string): Promise<string> =>
  (await container.exec(['sh', '-c', script])).stdout;
const left = (): string[] => readdirSync(join(directory, 'runts/containers'));

const change = `
  echo changed > /lower/file; rm /etc/gone; mkdir -p /data/inner; echo data > /data/inner/file; chmod 640 /data/inner/file
  rm -r /lower/deep; mkdir /lower/deep; echo new > /lower/deep/new; ln /data/inner/file /data/again; ln -s inner/file /data/way
  dd if=/dev/zero of=/data/holes bs=1 count=1 seek=1048575 2>/dev/null; mkfifo /data/fifo; chmod 1777 /data
  touch -d '2001-02-03 04:05:06' /data/inner /data/inner/file /data; chmod 750 /`;
const tell = `
  cat /lower/file; ls /etc/gone 2>&1; ls /lower/deep; cat /data/way; stat -c '%n %a %u:%g %Y %h' /data/inner /data/inner/file /data
  test /data/again -ef /data/inner/file && echo same; test -p /data/fifo && echo fifo; stat -c '%s %b' /data/holes; stat -c %a /`;

for (const driver of ['overlay', 'fuse-overlayfs', 'copy'] as const) {
  const testDriver = driver === 'fuse-overlayfs' ? testIf('userns', 'busybox', 'fuse') : test;
  describe(`with the driver ${driver}`, () => {
    testDriver('a container from a snapshot has what was changed, and no other sees what it changes', async () => {
      const runtime = runtimeWith({ driver });
      const first = await runtime.createContainer({ image });
      await first.start();
      await shell(first, change);
      const before = await shell(first, tell);
      const snapshot = await first.snapshot();
      expect(snapshot.size).toBeGreaterThan(1048576);
      await shell(first, 'echo later > /lower/file');
      await first.remove({ force: true });

      const [second, third] = [
        await runtime.createContainer({ from: snapshot }),
        await runtime.createContainer({ from: snapshot }),
      ];
      await Promise.all([second.start(), third.start()]);
      expect(await shell(second, tell)).toBe(before);
      expect(before).toContain('same\nfifo\n1048576 ');
      await shell(second, 'echo other > /lower/file; rm -r /data');
      expect(await shell(third, tell)).toBe(before);
    });

    testDriver('a snapshot of a container from a snapshot has what both have changed', async () => {
      const runtime = runtimeWith({ driver });
      const first = await runtime.createContainer({ image });
      await first.start();
      await shell(first, 'echo 1 > /one; echo 1 > /both; rm /lower/file');
      const one = await first.snapshot();
      const second = await runtime.createContainer({ from: one });
      await second.start();
      await shell(second, 'rm /both; echo 2 > /two');
      const two = await second.snapshot();
      await second.remove({ force: true });
      await expect(one.remove()).rejects.toThrow(`is in use by snapshot ${two.id.slice(0, 12)}`);
      const third = await runtime.createContainer({ from: two });
      await third.start();
      expect(await shell(third, 'ls / /lower')).toBe(
        'bin\ndev\netc\nlower\none\nproc\nsys\ntmp\ntwo\n'.replace(/^/, '/:\n').concat('\n/lower:\ndeep\n'),
      );
    });
  });
}

test('the containers of a snapshot are configured as the one that it was taken of, unless they say otherwise', async () => {
  const runtime = runtimeWith();
  const first = await runtime.createContainer({
    image,
    name: 'first',
    env: { OWN: 'first', MORE: 'first' },
    hostname: 'box',
    labels: { kind: 'test' },
    command: ['sh', '-c', 'echo ready; exec sleep 1000'],
    mounts: [{ type: 'tmpfs', target: '/scratch' }],
    ready: ready.log('ready'),
  });
  await first.start();
  const snapshot = await first.snapshot();
  const second = await runtime.createContainer({ from: snapshot, env: { MORE: 'second' }, name: 'second' });
  await second.start();
  expect(await shell(second, 'echo $FROM $OWN $MORE; hostname; grep -c " /scratch " /proc/mounts')).toBe(
    'image first second\nbox\n1\n',
  );
  const { labels, image: origin, command } = await second.inspect();
  expect({ labels, command }).toEqual({
    labels: { kind: 'test' },
    command: ['sh', '-c', 'echo ready; exec sleep 1000'],
  });
  expect(origin?.digest).toBe((await first.inspect()).image?.digest);
  expect((await runtime.run({ from: snapshot, command: ['hostname'] })).stdout).toBe('box\n');
});

test('one of a container that has ended, or was not started, is one like others', async () => {
  const runtime = runtimeWith();
  const ended = await runtime.createContainer({ image, command: ['sh', '-c', 'echo made > /made'] });
  await ended.start();
  await ended.wait();
  await using made = await ended.snapshot();
  expect((await runtime.run({ from: made, command: ['cat', '/made'] })).stdout).toBe('made\n');
  const fresh = await runtime.createContainer({ image });
  await using same = await fresh.snapshot();
  expect((await runtime.run({ from: same, command: ['cat', '/lower/file'] })).stdout).toBe('of the image');
});

test('a snapshot that is in use is not removed, and the error names the containers', async () => {
  const runtime = runtimeWith();
  const first = await runtime.createContainer({ image });
  const snapshot = await first.snapshot();
  const second = await runtime.createContainer({ from: snapshot, name: 'the-second' });
  await expect(snapshot.remove()).rejects.toMatchObject({
    code: 'ERR_STATE',
    message: expect.stringContaining('is in use by container the-second'),
  });
  await second.remove();
  await Promise.all([snapshot.remove(), snapshot.remove()]);
  expect(left()).not.toContain(snapshot.id);
  await expect(runtime.createContainer({ from: snapshot })).rejects.toMatchObject({ code: 'ERR_NOT_FOUND' });
  await expect(runtimeWith().createContainer({ from: snapshot })).rejects.toMatchObject({ code: 'ERR_NOT_FOUND' });
});

test('a runtime that is disposed takes its snapshots with it', async () => {
  const runtime = runtimeWith();
  const first = await runtime.createContainer({ image });
  const one = await first.snapshot();
  const two = await (await runtime.createContainer({ from: one })).snapshot();
  expect(left()).toEqual(expect.arrayContaining([one.id, two.id]));
  await runtime[Symbol.asyncDispose]();
  expect(left().filter((id) => [one.id, two.id, first.id].includes(id))).toEqual([]);
});

test('when this process is killed its snapshots go, too', { timeout: 120_000 }, async () => {
  const owner = new Fixture('snapshot', [image, join(directory, 'runts'), join(directory, 'state')]);
  const ids = await owner.says<string[]>();
  expect(left()).toEqual(expect.arrayContaining(ids));
  owner.process.kill('SIGKILL');
  expect(await until(() => left().every((id) => !ids.includes(id)), patienceMs)).toBe(true);
});

test('what is in a volume of the container is not in its snapshot, and a volume with a name is mounted again', async () => {
  const runtime = runtimeWith();
  onTestFinished(() => runtime.volumes.remove('kept', { force: true }));
  const at = (name: string, target: string) => ({ type: 'volume', source: name, target }) as const;
  const anonymous = { type: 'volume', target: '/lower' } as const;
  const first = await runtime.createContainer({ image, mounts: [at('kept', '/volume'), anonymous] });
  await first.start();
  await shell(first, 'echo kept > /volume/file; echo lost > /lower/file; echo own > /own');
  await using snapshot = await first.snapshot();
  expect(snapshot.size).toBe('own\n'.length);
  await using bare = await runtime.createContainer({ from: snapshot, mounts: [] });
  await bare.start();
  expect(await shell(bare, 'cat /own /lower/file; ls /volume')).toBe('own\nof the image');
  await using same = await runtime.createContainer({ from: snapshot });
  await same.start();
  // The volume without a name is a new one, which begins with what the image has there.
  expect(await shell(same, 'cat /own /lower/file /volume/file')).toBe('own\nof the imagekept\n');
  await Promise.all([first, bare, same].map((each) => each.remove({ force: true })));
});

test('a container that is not made of an image has none: it is said why', async () => {
  const runtime = runtimeWith();
  const container = await runtime.createContainer({ host: true, command: ['true'] });
  await expect(container.snapshot()).rejects.toMatchObject({
    code: 'ERR_UNSUPPORTED',
    message: expect.stringContaining('is not made of an image'),
  });
});

test('a container of a snapshot can be exported whole, and not be committed without what lies between', async () => {
  const runtime = runtimeWith();
  const first = await runtime.createContainer({ image });
  await first.start();
  await shell(first, 'echo 1 > /one');
  const second = await runtime.createContainer({ from: await first.snapshot() });
  await second.start();
  await shell(second, 'echo 2 > /two');
  expect(await runtime.images.changes(second)).toEqual([{ kind: 'A', path: '/two' }]);
  const names = execFileSync('tar', ['-t'], { input: await bytesOf(await runtime.images.export(second)) }).toString();
  expect(names.split('\n')).toEqual(expect.arrayContaining(['one', 'two', 'lower/file']));
  await expect(runtime.images.commit(second)).rejects.toMatchObject({ code: 'ERR_UNSUPPORTED' });
});

testIf(
  'userns',
  'busybox',
  'cgroup2',
)('its processes stand still while a snapshot is taken', async () => {
  const runtime = runtimeWith();
  const container = await runtime.createContainer({ image });
  await container.start();
  const seen: string[] = [];
  const listening = (async () => {
    for await (const event of runtime.events()) seen.push(event.action);
  })();
  await container.snapshot();
  expect(container.status).toBe('running');
  await container.snapshot({ pause: false });
  await runtime[Symbol.asyncDispose]();
  await listening;
  expect(seen.filter((action) => ['pause', 'resume'].includes(action))).toEqual(['pause', 'resume']);
});

test('where nothing can be paused, who insists is told', async ({ skip }) => {
  const runtime = runtimeWith();
  const container = await runtime.createContainer({ image });
  await container.start();
  const isPaused = await container.pause().then(
    () => true,
    () => false,
  );
  if (isPaused) {
    await container.remove({ force: true });
    skip('containers can be paused here');
  }
  await expect(container.snapshot({ pause: true })).rejects.toMatchObject({ code: 'ERR_UNSUPPORTED' });
  await using snapshot = await container.snapshot();
  expect(snapshot.size).toBe(0);
});

async function bytesOf(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}
