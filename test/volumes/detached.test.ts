import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished } from 'vitest';
import type { Container } from '../../lib/index.ts';
import type { VolumeDriver } from '../../lib/volumes/driver.ts';
import { type ServedCall, serveVolumeDriver } from '../../lib/volumes/plugins/server.ts';
import { testIf } from '../support/requires.ts';
import { type TemporaryRuntime, temporaryRuntime } from './containers.ts';
import { directories } from './plugin.ts';

const test = testIf('userns');

interface World {
  readonly runtime: TemporaryRuntime;
  readonly calls: ServedCall[];
  serve(driver: VolumeDriver): Promise<() => Promise<void>>;
}

async function world(): Promise<World> {
  const plugins = join((await temporaryRuntime()).directory, 'plugins');
  const runtime = await temporaryRuntime({ volumes: { plugins: [plugins] } });
  const calls: ServedCall[] = [];
  const serve: World['serve'] = async (driver) => {
    const onCall = (call: ServedCall) => void calls.push(call);
    const served = await serveVolumeDriver(driver, { socket: join(plugins, 'dirs.sock'), onCall });
    onTestFinished(served.close);
    return served.close;
  };
  return { runtime, calls, serve };
}

/** A container that says what is in its volume, each time that it is started. */
async function reader(runtime: TemporaryRuntime): Promise<Container> {
  await runtime.volumes.create({ name: 'far', driver: 'dirs' });
  const container = await runtime.createContainer({
    ...{ host: true, detached: true, name: 'reader', command: ['cat', '/mnt/file'] },
    mounts: [{ type: 'volume', source: 'far', target: '/mnt' }],
  });
  onTestFinished(() => container.remove({ force: true }));
  return container;
}

async function said(container: Container): Promise<readonly string[]> {
  await container.start();
  await container.wait();
  const texts: string[] = [];
  for await (const { text } of container.logs()) texts.push(text);
  return texts;
}

const mountIds = (calls: readonly ServedCall[]) =>
  calls.filter(({ method }) => method === 'VolumeDriver.Mount').map(({ request }) => (request as { ID: string }).ID);

/** As a plugin that keeps its files elsewhere: what is in a volume is there when it has mounted it. */
const writing = (place: string, content = 'far'): VolumeDriver => {
  const driver = directories(place, []);
  return {
    ...driver,
    get: async (name) => ({ name }),
    async mount(volume) {
      const path = await driver.mount(volume);
      writeFileSync(join(path, 'file'), `${content}\n`, { mode: 0o644 });
      return path;
    },
  };
};

test('what a plugin has mounted for a detached container and has not any more, it mounts again for the same id', async () => {
  const { runtime, calls, serve } = await world();
  const place = join(runtime.directory, 'dirs');
  const close = await serve(writing(place));
  const container = await reader(runtime);
  expect(await said(container)).toEqual(['far']);
  expect(await said(container)).toEqual(['far', 'far']);
  const [id] = mountIds(calls);
  expect(mountIds(calls)).toEqual([id]);

  await close();
  rmSync(place, { recursive: true });
  // Without the plugin it cannot be had, and the container stays as it was made.
  await expect(container.start()).rejects.toMatchObject({ code: 'ERR_NOT_FOUND' });
  const elsewhere = join(runtime.directory, 'elsewhere');
  await serve(writing(elsewhere, 'again'));
  expect(await said(container)).toEqual(['far', 'far', 'again']);
  expect(await said(container)).toEqual(['far', 'far', 'again', 'again']);
  expect(mountIds(calls)).toEqual([id, id]);
  await container.remove();
  expect(calls.filter(({ method }) => method === 'VolumeDriver.Unmount')).toMatchObject([{ request: { ID: id } }]);
});

test('after a reboot a plugin is told of it, whatever is at the place', async () => {
  const { runtime, calls, serve } = await world();
  const close = await serve(writing(join(runtime.directory, 'dirs')));
  const container = await reader(runtime);
  const record = join(runtime.data, 'detached', container.id, 'container.json');
  const text = readFileSync(record, 'utf8');
  const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  expect(text).toContain(boot);
  writeFileSync(record, text.replaceAll(boot, '00000000-0000-0000-0000-000000000000'));
  await close();
  await serve(writing(join(runtime.directory, 'dirs')));
  expect(await said(container)).toEqual(['far']);
  const [id] = mountIds(calls);
  expect(mountIds(calls)).toEqual([id, id]);
});

testIf('userns', 'root')(
  'a mount that somebody has unmounted is made again, also by a driver that still counts it',
  async () => {
    const { runtime, calls, serve } = await world();
    const place = join(runtime.directory, 'dirs');
    const mount = (...words: string[]) => expect(spawnSync(words[0]!, words.slice(1)).status).toBe(0);
    const written = writing(place);
    let mounts = 0;
    await serve({
      ...written,
      async mount(volume) {
        mounts += 1;
        mkdirSync(join(place, volume.name), { recursive: true });
        mount('mount', '-t', 'tmpfs', '-o', 'size=64k', 'runts-test', join(place, volume.name));
        return written.mount(volume);
      },
      unmount: async ({ name }) => mount('umount', join(place, name)),
    });
    const container = await reader(runtime);
    expect(await said(container)).toEqual(['far']);
    mount('umount', join(place, 'far'));
    expect(await said(container)).toEqual(['far', 'far']);
    expect(mounts).toBe(2);
    expect(new Set(mountIds(calls)).size).toBe(1);
    await container.remove();
    expect(readFileSync('/proc/self/mountinfo', 'utf8')).not.toContain(place);
  },
);
