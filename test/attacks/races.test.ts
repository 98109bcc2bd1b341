// CVE-2018-15664, CVE-2021-30465, CVE-2024-45310, CVE-2025-31133: directories of a volume that a container which runs already
// exchanges for links, again and again, while others are made on the same volume. RUNTS_RACE_MS makes each race longer.
import fs from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { RunOptions } from '../../lib/index.ts';
import { run } from '../../lib/index.ts';
import type { ContainerOptions } from '../../lib/spec/options.ts';
import { eventually } from '../oci/oci.ts';
import {
  attackIf,
  attempted,
  type BundleSpec,
  canary,
  hostMounts,
  Lifecycle,
  payload,
  place,
  smallRoot,
  userNamespaces,
} from '../support/attack.ts';

const raceMs = Number(process.env['RUNTS_RACE_MS'] ?? 800);
const inner = (name: string, work: () => Promise<void>) => attackIf('busybox')(name, work, raceMs + 30_000);

const bind = (source: string, destination: string) => ({ destination, type: 'bind', source, options: ['rbind'] });

/** A volume in which a running container exchanges `a`, a directory, and `b`, a link to what is the host's. */
async function contested(hostPath: string) {
  const volume = place('volume', { open: true });
  for (const name of ['a', 'a/inner', 'a/etc', 'a/pts', 'a/shm']) {
    fs.mkdirSync(join(volume, name));
    fs.chmodSync(join(volume, name), 0o777);
  }
  for (const name of ['file', 'null', 'console', 'ptmx'])
    fs.writeFileSync(join(volume, 'a', name), '', { mode: 0o666 });
  fs.symlinkSync(hostPath, join(volume, 'b'));
  const root = smallRoot();
  fs.copyFileSync(payload(), join(root, 'bin/attack'));
  const attacker = new Lifecycle('attacker');
  // A fifo that it holds open itself: there is never anything to read in it, and never an end.
  const script = 'mkfifo /tmp/fifo; exec attack exchange /volume/a /volume/b 0<>/tmp/fifo';
  await attacker.run(root, ['sh', '-c', script], (spec) => void spec.mounts?.push(bind(volume, '/volume')));
  const isLink = () => fs.lstatSync(join(volume, 'a')).isSymbolicLink();
  await eventually(isLink, 'the directories to be exchanged');
  return volume;
}

async function repeatedly(work: () => Promise<unknown>): Promise<number> {
  const end = Date.now() + raceMs;
  let times = 0;
  for (; times < 5 || Date.now() < end; times++) await work();
  return times;
}

/** What a configuration may want to be made, opened, hidden or mounted in the volume. */
const uses: Readonly<Record<string, (spec: BundleSpec, volume: string) => void>> = {
  'mount points and a working directory': ({ mounts, process }) => {
    mounts?.push({ destination: '/volume/a/inner/one/two', type: 'tmpfs' });
    mounts?.push({ ...bind(payload(), '/volume/a/three/four') });
    process.cwd = '/volume/a/inner/five';
  },
  'hidden and read-only paths': ({ linux }) => {
    linux.maskedPaths?.push('/volume/a/secret', '/volume/a/inner', '/volume/a/file');
    linux.readonlyPaths?.push('/volume/a', '/volume/a/inner');
  },
  'copies and modes of what a tmpfs covers': ({ mounts }) => {
    mounts?.push({ destination: '/volume/a/inner', type: 'tmpfs', options: ['tmpcopyup'] });
    mounts?.push({ destination: '/volume/a', type: 'tmpfs', options: ['tmpcopyup'] });
  },
  'devices and links': (spec) => {
    spec.mounts = spec.mounts?.filter(({ destination }) => destination !== '/dev');
    spec.linux.devices = [
      { type: 'p', path: '/volume/a/inner/pipe', fileMode: 0o666, uid: 0, gid: 0 },
      { type: 'c', path: '/volume/a/zero', major: 1, minor: 5 },
    ];
  },
  'a whole /dev, with a terminal': (spec, volume) => {
    spec.mounts = spec.mounts?.filter(({ destination }) => !destination.startsWith('/dev'));
    spec.mounts?.push(bind(volume, '/dev'));
    spec.mounts?.push({ destination: '/dev/a/pts', type: 'devpts', options: ['newinstance', 'ptmxmode=0666'] });
    spec.linux.maskedPaths?.push('/dev/a/null', '/dev/a/secret');
  },
};

for (const [how, edit] of userNamespaces) {
  for (const [use, change] of Object.entries(uses)) {
    inner(`a volume whose directories become links meanwhile leads ${use} nowhere: ${how}`, async () => {
      const host = canary();
      const volume = await contested(host.path);
      const before = hostMounts().length;
      await repeatedly(async () => {
        const victim = new Lifecycle('victim');
        const { output } = await attempted(async () => {
          const args = ['sh', '-c', 'cat secret inner/secret /volume/a/secret 2> /dev/null; echo ran'];
          const { ended } = await victim.run(smallRoot(), args, (spec) => {
            edit(spec);
            spec.mounts?.push(bind(volume, '/volume'));
            change(spec, volume);
          });
          return ended();
        });
        expect(output).not.toContain('secret of the host');
        await victim.delete();
      });
      expect(host.changes()).toEqual([]);
      expect(hostMounts().length).toBe(before);
    });
  }

  inner(`nor a command that joins a container, to its working directory: ${how}`, async () => {
    const host = canary();
    const volume = await contested(host.path);
    const victim = new Lifecycle('victim');
    await victim.run(smallRoot(), ['sleep', '1000'], (spec) => {
      edit(spec);
      spec.mounts?.push(bind(volume, '/volume'));
    });
    await repeatedly(async () => {
      const args = ['sh', '-c', 'cat secret ../secret 2> /dev/null; echo > made'];
      const { output } = await attempted(() => victim.exec({ args, cwd: '/volume/a/inner/six' }));
      expect(output).not.toContain('secret of the host');
    });
    expect(host.changes()).toEqual([]);
  });
}

inner('nor the containers of the library', async () => {
  const host = canary();
  const volume = await contested(host.path);
  const mounts = [
    { type: 'bind', source: volume, target: '/volume' },
    { type: 'tmpfs', target: '/volume/a/inner/one/two' },
    { type: 'bind', source: payload(), target: '/volume/a/three/four' },
  ];
  await repeatedly(async () => {
    const options = { rootfs: smallRoot(), mounts, cwd: '/volume/a/inner/five', command: ['cat', '/volume/a/secret'] };
    const all = { ...options, reject: false, timeout: 10_000 } as unknown as ContainerOptions & RunOptions;
    const { output } = await attempted(async () => (await run(all)).stdout);
    expect(output).not.toContain('secret of the host');
  });
  expect(host.changes()).toEqual([]);
});
