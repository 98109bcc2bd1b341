import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect } from 'vitest';
import { createRuntime } from '../../lib/index.ts';
import { createHost } from '../../lib/node/host.ts';
import { dockerFiles, packFiles, tar } from '../support/archives.ts';
import { patienceMs, testIf } from '../support/requires.ts';

const isRoot = process.getuid?.() === 0;
const MiB = 1024 * 1024;
const { files, kernel } = createHost();
let directory: string;
let archive: string;

/** An ext4 of 200 MiB with quotas of projects, mounted with the option that makes them hold, or without. */
function mounted(name: string, options: string): string {
  const [disk, place] = [join(directory, `${name}.img`), join(directory, name)];
  execFileSync('truncate', ['-s', '200M', disk]);
  execFileSync('/sbin/mkfs.ext4', ['-q', '-O', 'project,quota', '-E', 'quotatype=prjquota', disk]);
  mkdirSync(place);
  execFileSync('mount', ['-o', `loop${options}`, disk, place]);
  chmodSync(place, 0o755);
  return join(place, 'runts');
}

const commands = ['sh', 'dd', 'df', 'rm', 'grep', 'tail', 'true'];
beforeAll(() => {
  directory = mkdtempSync('/var/tmp/runts-storage-');
  chmodSync(directory, 0o755);
  archive = join(directory, 'image.tar');
  const layer = tar(
    ...['bin/', 'proc/', 'sys/', 'dev/', 'etc/'].map((name) => ({ name })),
    { name: 'bin/busybox', content: readFileSync('/bin/busybox'), mode: 0o755 },
    ...commands.map((name) => ({ name: `bin/${name}`, type: '2', link: 'busybox' })),
    { name: 'etc/large', content: Buffer.alloc(4 * MiB, 'x') },
  );
  writeFileSync(archive, packFiles(dockerFiles({ layers: [layer] })));
});
afterAll(() => {
  for (const name of ['quota', 'accounting']) {
    if (isRoot && existsSync(join(directory, name))) execFileSync('umount', ['-l', join(directory, name)]);
  }
  rmSync(directory, { recursive: true, force: true });
});

const script = `
  df -k / | tail -n 1
  dd if=/dev/zero of=/big bs=1M count=40 2>&1 | grep 'error writing'
  rm /big
  echo more >> /etc/large && echo copied up
  dd if=/dev/zero of=/small bs=1M count=2 2> /dev/null && echo written`;

testIf('vm', 'root')('what a container writes is limited to its size, by the quota of a project', async () => {
  const root = mounted('quota', ',prjquota');
  // Left by a process that was killed, the container's directory gone since.
  const left = 0x7275_0001;
  mkdirSync(join(root, 'containers'), { recursive: true, mode: 0o700 });
  chmodSync(root, 0o700);
  const data = await files.open(root, 'directory');
  await kernel.limitProject(data, left, MiB);
  writeFileSync(join(root, 'projects.json'), JSON.stringify({ [left]: 'gone' }));
  for (const driver of ['overlay', 'copy'] as const) {
    await using runtime = createRuntime({ root, state: join(directory, 'state'), driver });
    const limited = { image: archive, storage: { size: '16m' } } as const;
    const container = await runtime.createContainer({ ...limited, command: ['/bin/sh', '-c', script] });
    const projects = JSON.parse(readFileSync(join(root, 'projects.json'), 'utf8')) as Record<string, string>;
    expect(Object.values(projects)).toEqual([container.id]);
    expect(await kernel.projectQuota(data, left)).toEqual({ enforced: true, used: 0, limit: 0 });
    const number = Number(Object.keys(projects)[0]);
    expect(await kernel.projectQuota(data, number)).toMatchObject({ limit: 16 * MiB });
    // Another one has a limit of its own, and no number of somebody else's.
    const other = await runtime.createContainer({ ...limited, storage: { size: '8m' }, command: ['/bin/sh'] });
    await other.remove();
    await container.start();
    let text = '';
    for await (const chunk of container.stdout!) text += String(chunk);
    const { exitCode } = await container.wait();
    const [shown = '', ...told] = text.trim().split('\n');
    expect(shown.split(/ +/)[1]).toBe('16384');
    expect(told[0]).toMatch(/(Disk quota exceeded|No space left on device)$/);
    expect(told.slice(1)).toEqual(['copied up', 'written']);
    expect(exitCode).toBe(0);
    expect((await kernel.projectQuota(data, number)).used).toBeGreaterThan(6 * MiB);
    await container.remove();
    expect(readFileSync(join(root, 'projects.json'), 'utf8')).toBe('{}');
    const free = { enforced: true, used: 0, limit: 0 };
    await expect.poll(() => kernel.projectQuota(data, number), { timeout: patienceMs }).toEqual(free);
    expect(readdirSync(join(root, 'containers'))).toEqual([]);
    // Root of the container would be root of the host, which no limit holds.
    await expect(runtime.createContainer({ ...limited, userns: 'host', command: ['/bin/sh'] })).rejects.toMatchObject({
      ...{ code: 'ERR_UNSUPPORTED', origin: '/storage', message: expect.stringContaining('root of the host') },
    });
  }
  data.close();
});

testIf('vm', 'root')(
  'where quotas only count, or there are none, a limit is refused with what is missing',
  async () => {
    const limited = { image: archive, storage: { size: '16m' }, command: ['/bin/true'] } as const;
    const places = [
      [mounted('accounting', ''), /is on ext4, mounted on .* without the option prjquota.*limits none/, /prjquota/],
      ['/dev/shm/runts-storage', /is on tmpfs \(mounted on \/dev\/shm\), which has no quotas of projects/, /xfs/],
    ] as const;
    for (const [root, message, hint] of places) {
      await using runtime = createRuntime({ root, state: join(directory, 'state') });
      await expect(runtime.createContainer(limited)).rejects.toMatchObject({
        ...{ code: 'ERR_UNSUPPORTED', origin: '/storage' },
        ...{ message: expect.stringMatching(message), hint: expect.stringMatching(hint) },
      });
      expect(readdirSync(join(root, 'containers'))).toEqual([]);
    }
    rmSync('/dev/shm/runts-storage', { recursive: true, force: true });
  },
);

testIf('vm', 'ordinary user')('an ordinary user is told that quotas take root', async () => {
  await using runtime = createRuntime({ root: join(directory, 'user'), state: join(directory, 'state') });
  const limited = { image: archive, storage: { size: '16m' }, command: ['/bin/true'] } as const;
  await expect(runtime.createContainer(limited)).rejects.toMatchObject({
    ...{ code: 'ERR_UNSUPPORTED', origin: '/storage', message: expect.stringContaining('only root') },
  });
});
