import { chmodSync, existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished } from 'vitest';
import { serveVolumeDriver } from '../../lib/index.ts';
import type { MountOption } from '../../lib/spec/options.ts';
import { startRunts } from '../cli/runts.ts';
import { can, patienceMs, testIf } from '../support/requires.ts';
import { isRoot } from '../support/unpacked.ts';
import { imageWith, type TemporaryRuntime, temporaryRuntime } from './containers.ts';
import { directories } from './plugin.ts';

const test = testIf('userns', 'busybox');
/** Whether a container here has more than one id. */
const severalIds = isRoot || can('subuids') === true;

const volume = (source: string, more: Partial<Extract<MountOption, { type: 'volume' }>> = {}): MountOption => ({
  ...{ type: 'volume', source, target: '/data' },
  ...more,
});
const inside = async (runtime: TemporaryRuntime, script: string, mounts: readonly MountOption[] = [], image = 'app') =>
  (await runtime.run({ image, command: ['sh', '-c', script], mounts })).stdout;
const visible = ({ data }: TemporaryRuntime) =>
  existsSync(join(data, 'volumes')) ? readdirSync(join(data, 'volumes')).filter((name) => !name.startsWith('.')) : [];

test('a named volume is made when it is first used, and what is written to it is there for the next container', async () => {
  const runtime = await temporaryRuntime();
  await imageWith(runtime, []);
  await inside(runtime, 'echo kept > /data/file', [volume('db')]);
  expect(
    await inside(runtime, 'cat /data/file; touch /data/x 2>&1 || true', [volume('db', { readonly: true })]),
  ).toMatch(/^kept\ntouch: .*Read-only file system\n$/);
  await using made = await runtime.volumes.create({ labels: { a: 'b' } });
  expect(await inside(runtime, 'ls /data', [{ type: 'volume', source: made, target: '/data' }])).toBe('');
  expect(visible(runtime).sort()).toEqual(['db', made.name].sort());
  expect((await runtime.volumes.get('db')).anonymous).toBe(false);
});

test('several containers have a volume at once, and only when none has it can it be removed', async () => {
  const runtime = await temporaryRuntime();
  await imageWith(runtime, []);
  const options = { image: 'app', command: ['sleep', '1000'], mounts: [volume('shared')] };
  const one = await (await runtime.createContainer({ ...options, name: 'one' })).start();
  const two = await (await runtime.createContainer({ ...options, name: 'two' })).start();
  await one.exec(['sh', '-c', 'echo hello > /data/from-one']);
  expect((await two.exec(['cat', '/data/from-one'])).stdout).toBe('hello\n');
  expect((await runtime.volumes.get('shared')).containers.toSorted()).toEqual(['one', 'two']);
  await one.remove({ force: true });
  await expect(runtime.volumes.remove('shared')).rejects.toMatchObject({
    code: 'ERR_STATE',
    message: 'cannot remove the volume shared: it is in use by two',
  });
  await two.remove({ force: true });
  await runtime.volumes.remove('shared');
  expect(visible(runtime)).toEqual([]);
});

describe('an empty volume gets what the image has at its target', () => {
  const files = [
    { name: 'var/', mode: 0o755 },
    { name: 'var/lib', type: '2', link: 'real' },
    { name: 'var/real/data/', mode: 0o2750, uid: 33, gid: 44 },
    { name: 'var/real/data/file', content: 'of the image\n', mode: 0o640, uid: 33, gid: 44 },
    { name: 'var/real/data/same', type: '1', link: 'var/real/data/file' },
    { name: 'var/real/data/deep/', mode: 0o711 },
    { name: 'var/real/data/deep/link', type: '2', link: '../file' },
    { name: 'var/real/data/away', type: '2', link: '/etc/passwd' },
  ];
  const look = 'cd /var/lib/data; find . | sort | xargs -n1 stat -c "%n %F %a %u:%g %h"; readlink away; cat deep/link';
  const target = '/var/lib/data';

  test('with owners, modes and links, by way of links of the image', async () => {
    const runtime = await temporaryRuntime();
    await imageWith(runtime, files);
    const script = look.replace('xargs -n1', 'while read f; do').replace('%h"', '%h" "$f"; done');
    const expected = await inside(runtime, `ls -l /var/lib/ >/dev/null; ${script}`);
    const filled = await inside(runtime, script, [volume('db', { target })]);
    expect(filled).toBe(expected);
    expect(filled).toContain(severalIds ? './file regular file 640 33:44 2\n' : './file regular file 640 0:0 2\n');
    expect(filled).toMatch(/\/etc\/passwd\nof the image\n$/);
    // Once: what is in it afterwards is the user's.
    await inside(runtime, 'rm /var/lib/data/file', [volume('db', { target })]);
    expect(await inside(runtime, 'ls /var/lib/data', [volume('db', { target })])).toBe('away\ndeep\nsame\n');
  });

  test('unless it is not to, or there is nothing, or a file', async () => {
    const runtime = await temporaryRuntime();
    await imageWith(runtime, files);
    const ls = (source: string, more: Partial<Extract<MountOption, { type: 'volume' }>>) =>
      inside(runtime, `ls ${more.target}`, [volume(source, more)]);
    expect(await ls('a', { target, copy: false })).toBe('');
    expect(await ls('b', { target: '/none' })).toBe('');
    expect(await ls('c', { target: '/var/lib/none' })).toBe('');
  });

  test('and never anything of the host, wherever links of the image lead', async () => {
    const runtime = await temporaryRuntime();
    await imageWith(runtime, [
      { name: 'a', type: '2', link: '../../../../../../../../etc' },
      { name: 'loop', type: '2', link: 'loop' },
      { name: 'srv/', mode: 0o755 },
      { name: 'srv/up', type: '2', link: '../../../../etc' },
      { name: 'srv/passwd', type: '2', link: '/proc/1/root/etc/passwd' },
    ]);
    expect(await inside(runtime, 'ls /a', [volume('a', { target: '/a' })])).toBe('passwd\n');
    expect(await inside(runtime, 'readlink /srv/up; readlink /srv/passwd', [volume('b', { target: '/srv' })])).toBe(
      '../../../../etc\n/proc/1/root/etc/passwd\n',
    );
    expect(readdirSync((await runtime.volumes.get('b')).mountpoint).sort()).toEqual(['passwd', 'up']);
  });
});

describe('volumes of an image', () => {
  const files = [{ name: 'srv/first', content: 'x' }];

  test('are volumes that nobody has named, and go with the container', async () => {
    const runtime = await temporaryRuntime();
    await imageWith(runtime, files, ['/srv', '/other']);
    const container = await runtime.createContainer({
      image: 'app',
      command: ['sh', '-c', 'ls /srv; touch /srv/x /other/y'],
    });
    const all = await runtime.volumes.list();
    expect(all.map(({ anonymous, containers }) => [anonymous, containers])).toEqual([
      [true, [container.id]],
      [true, [container.id]],
    ]);
    await container.start();
    await container.wait();
    await container.remove();
    expect(visible(runtime)).toEqual([]);
  });

  test('stay where the container is removed without them', async () => {
    const runtime = await temporaryRuntime();
    await imageWith(runtime, files, ['/srv']);
    const container = await runtime.createContainer({ image: 'app' });
    const names = visible(runtime);
    await container.remove({ volumes: false });
    expect(visible(runtime)).toEqual(names);
    expect(readdirSync((await runtime.volumes.get(names[0]!)).mountpoint)).toEqual(['first']);
    expect((await runtime.volumes.prune()).removed).toEqual(names);
  });

  test('are not made where something else is mounted', async () => {
    const runtime = await temporaryRuntime();
    await imageWith(runtime, files, ['/srv']);
    expect(await inside(runtime, 'ls /srv', [volume('db', { target: '/srv/' })])).toBe('first\n');
    expect(await inside(runtime, 'ls /srv', [{ type: 'tmpfs', target: '/srv' }])).toBe('');
    expect(visible(runtime)).toEqual(['db']);
  });

  test('go when the process that has the container is killed; those with a name stay', async () => {
    const runtime = await temporaryRuntime();
    await imageWith(runtime, files, ['/srv']);
    const words = ['run', '--image', 'app', '-v', 'named:/named', '--', 'sh', '-c', 'echo ready; sleep 1000'];
    const { child, shows } = startRunts(words, { env: { XDG_DATA_HOME: runtime.directory } });
    onTestFinished(() => void child.kill('SIGKILL'));
    await shows('ready');
    expect(await runtime.volumes.list({ dangling: true })).toEqual([]);
    expect(visible(runtime)).toHaveLength(2);
    child.kill('SIGKILL');
    await expect.poll(() => visible(runtime), { timeout: patienceMs }).toEqual(['named']);
    expect(await runtime.volumes.get('named')).toMatchObject({ containers: [] });
    await runtime.volumes.remove('named');
  });
});

test('a container that cannot be made leaves no volume that nobody has named, and uses none', async () => {
  const runtime = await temporaryRuntime({ volumes: { max: 1 } });
  await imageWith(runtime, [], ['/a', '/b']);
  await expect(inside(runtime, 'true')).rejects.toMatchObject({
    code: 'ERR_STATE',
    message: expect.stringContaining('of at most 1'),
  });
  expect(visible(runtime)).toEqual([]);
  await imageWith(runtime, [], [], 'plain');
  const wrong = runtime.run({ image: 'plain', command: ['/no/such'], mounts: [volume('kept')] });
  await expect(wrong).rejects.toMatchObject({ code: 'ERR_EXEC' });
  expect(await runtime.volumes.get('kept')).toMatchObject({ containers: [] });
});

test('a volume in memory has its size, is empty for each container, and is for one at a time', async () => {
  const runtime = await temporaryRuntime();
  await imageWith(runtime, []);
  await runtime.volumes.create({ name: 'fast', options: { type: 'tmpfs', device: 'tmpfs', o: 'size=1m,mode=0700' } });
  const script = 'ls /data; stat -c %a /data; head -c 2000000 /dev/zero > /data/x 2>/dev/null; wc -c < /data/x';
  for (let i = 0; i < 2; i++) expect(await inside(runtime, script, [volume('fast')])).toBe('700\n1048576\n');
  await using one = await runtime.createContainer({ image: 'app', name: 'one', mounts: [volume('fast')] });
  await expect(inside(runtime, 'true', [volume('fast')])).rejects.toMatchObject({
    code: 'ERR_STATE',
    message: expect.stringContaining(`in memory, and ${one.name} has it`),
  });
});

test('a volume of a directory of the host shows that directory, and is removed without it', async () => {
  const runtime = await temporaryRuntime();
  await imageWith(runtime, []);
  const device = join(runtime.directory, 'device');
  mkdirSync(device);
  chmodSync(device, 0o777);
  writeFileSync(join(device, 'file'), 'of the host\n');
  const options = { type: 'none', o: 'bind', device };
  await runtime.volumes.create({ name: 'srv', options });
  expect(await inside(runtime, 'cat /data/file; echo new > /data/made', [volume('srv')])).toBe('of the host\n');
  await runtime.volumes.create({ name: 'fixed', options: { ...options, o: 'bind,ro' } });
  expect(await inside(runtime, 'touch /data/x 2>&1 || true', [volume('fixed')])).toContain('Read-only');
  for (const name of ['srv', 'fixed']) await runtime.volumes.remove(name);
  expect(readdirSync(device).sort()).toEqual(['file', 'made']);
});

test('files of a volume belong to ids of the container, which are nobody’s on the host but its', async () => {
  const runtime = await temporaryRuntime();
  await imageWith(runtime, []);
  const script = 'touch /data/root /data/user; chown 5:6 /data/user 2>/dev/null; stat -c %u:%g /data/root /data/user';
  expect(await inside(runtime, script, [volume('db')])).toBe(severalIds ? '0:0\n5:6\n' : '0:0\n0:0\n');
  const { uid } = statSync(join((await runtime.volumes.get('db')).mountpoint, 'root'));
  expect(uid).toBe(process.getuid?.());
  await runtime.volumes.remove('db');
});

test('a volume of a plugin is mounted for each container, by an id of its own, and unmounted after it', async () => {
  const plugins = join((await temporaryRuntime()).directory, 'plugins');
  const runtime = await temporaryRuntime({ volumes: { plugins: [plugins] } });
  const told: string[] = [];
  const place = join(runtime.directory, 'dirs');
  await using _served = await serveVolumeDriver(directories(place, told), { socket: join(plugins, 'dirs.sock') });
  await imageWith(runtime, []);
  await runtime.volumes.create({ name: 'far', driver: 'dirs' });
  chmodSync(runtime.directory, 0o755);
  expect(await inside(runtime, 'echo hi > /data/x; cat /data/x', [volume('far')])).toBe('hi\n');
  expect(readdirSync(join(place, 'far'))).toEqual(['x']);
  expect(await runtime.volumes.get('far')).toMatchObject({ driver: 'dirs', scope: 'global', status: { kept: 'here' } });
  await runtime.volumes.remove('far');
  expect(told).toEqual(['create far', 'mount far', 'unmount far', 'remove far']);
  await using driver = Object.assign(directories(place, told, 'own'), { [Symbol.asyncDispose]: async () => undefined });
  await runtime.volumes.create({ name: 'near', driver });
  expect(await inside(runtime, 'echo hi > /data/y; cat /data/y', [volume('near')])).toBe('hi\n');
});
