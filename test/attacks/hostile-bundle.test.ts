// The same root file systems as engines of root hand them over: as bundles, mostly without a user namespace, where nothing but
// the runtime keeps the host's files as they are. CVE-2019-16884, CVE-2023-27561, CVE-2025-31133, CVE-2025-52565,
// CVE-2025-52881, CVE-2026-41579, CVE-2026-87766, CVE-2026-88264.
import fs from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, expect } from 'vitest';
import {
  type Attempt,
  attempted,
  type BundleSpec,
  canary,
  fifo,
  hostMounts,
  Lifecycle,
  smallRoot,
  userNamespaces,
} from '../support/attack.ts';
import { testIf } from '../support/requires.ts';

const test = testIf('userns', 'busybox');
const mountsBefore = hostMounts().filter((line) => line.includes('runts-attack'));
afterAll(() => expect(hostMounts().filter((line) => line.includes('runts-attack'))).toEqual(mountsBefore));

type Edit = (spec: BundleSpec) => void;
type Mount = NonNullable<BundleSpec['mounts']>[number];

const targets: Readonly<Record<string, (host: string) => string>> = {
  'an absolute path of the host': (host) => host,
  'a path that climbs': (host) => `${'../'.repeat(20)}${host.slice(1)}`,
  "process 1's root": (host) => `/proc/1/root${host}`,
};

/** Without some of the mounts, what the runtime makes there goes through the image's own directories. */
const without =
  (...destinations: string[]): Edit =>
  (spec) => {
    spec.mounts = (spec.mounts ?? []).filter(({ destination }) => !destinations.includes(destination));
  };
const mounting =
  (...mounts: Mount[]): Edit =>
  (spec) => {
    spec.mounts = [...(spec.mounts ?? []), ...mounts];
  };
const all =
  (...edits: Edit[]): Edit =>
  (spec) => {
    for (const edit of edits) edit(spec);
  };
const imagesDev = without('/dev');
const tty: Edit = (spec) => {
  spec.process.terminal = true;
};
const cwd =
  (path: string): Edit =>
  (spec) => {
    spec.process.cwd = path;
  };
const hiding: Edit = ({ linux }) => {
  linux.maskedPaths = [...(linux.maskedPaths ?? []), '/tmp/link', '/tmp/link/inner', '/tmp/link/secret'];
  linux.readonlyPaths = [...(linux.readonlyPaths ?? []), '/tmp/link', '/tmp/link/inner'];
};
const devices: Edit = ({ linux }) => {
  linux.devices = [
    { type: 'c', path: '/tmp/link/inner/zero', major: 1, minor: 5, fileMode: 0o666, uid: 0, gid: 0 },
    { type: 'p', path: '/tmp/link/pipe', fileMode: 0o666, uid: 0, gid: 0 },
    { type: 'c', path: '/tmp/link/secret', major: 1, minor: 3 },
  ];
};
const sysctl: Edit = ({ linux }) => {
  linux.sysctl = { 'net.ipv4.ping_group_range': '0 0' };
};
const tmpfs = (destination: string, ...options: string[]): Mount => ({ destination, type: 'tmpfs', options });
/** A file, a directory, and where a directory is to be made. */
const binds: Edit = (spec) => {
  const { path } = spec.root;
  for (const [i, source] of [`${path}/etc/passwd`, `${path}/bin`, `${path}/etc`].entries()) {
    spec.mounts?.push({ destination: `/tmp/link/inner/bind${i}`, type: 'bind', source, options: ['rbind', 'ro'] });
  }
};
/** What an engine binds from the root file system is looked up in there, too. */
const fromInside: Edit = (spec) => {
  const source = `${spec.root.path}/tmp/link`;
  spec.mounts?.push({ destination: '/given', type: 'bind', source, options: ['rbind', 'rw'] });
};

/** What an image may have as a link, and the configuration with which the runtime goes through it. */
const places: Readonly<Record<string, readonly (readonly [name: string, edit: Edit])[]>> = {
  proc: [
    ['a mount', () => {}],
    ['a sysctl, and no mount', all(without('/proc'), sysctl)],
  ],
  sys: [
    ['a mount', () => {}],
    ['a cgroup below it', without('/sys')],
  ],
  dev: [
    ['a mount', () => {}],
    ['devices and links', imagesDev],
    ['nothing that is mounted', without('/dev', '/dev/pts', '/dev/shm', '/dev/mqueue')],
    ['a console', all(imagesDev, tty)],
  ],
  'dev/pts': [['terminals', all(imagesDev, tty)]],
  'dev/shm': [['a mount', imagesDev]],
  'dev/mqueue': [['a mount', imagesDev]],
  'dev/null': [['a device, and what hides files', imagesDev]],
  'dev/zero': [['a device', imagesDev]],
  'dev/fd': [['a link', imagesDev]],
  'dev/ptmx': [['a terminal', all(imagesDev, tty)]],
  'dev/console': [['a console', all(imagesDev, tty)]],
  etc: [['the accounts', () => {}]],
  'tmp/link': [
    ['hidden and read-only paths', hiding],
    ['devices of the configuration', devices],
    ['a tmpfs', mounting(tmpfs('/tmp/link'), tmpfs('/tmp/link/inner/a/b/c'))],
    ['a tmpfs with what was there', mounting(tmpfs('/tmp/link', 'tmpcopyup'), tmpfs('/tmp/link/inner', 'tmpcopyup'))],
    ['a procfs', mounting({ destination: '/tmp/link/inner', type: 'proc', source: 'proc' })],
    ['binds', binds],
    ['the source of a bind', fromInside],
    ['a remount', mounting({ destination: '/tmp/link/inner', options: ['remount', 'bind', 'ro'] })],
    ['a working directory', cwd('/tmp/link/inner/new/directory')],
    ['a working directory that is there', cwd('/tmp/link')],
  ],
};

const look = 'cat secret ./inner/../secret /*/secret /*/*/secret 2> /dev/null; echo ran';

/** Runs the image to its end, and says what it did to the host. */
async function consequences(root: string, edit: Edit): Promise<Attempt> {
  const container = new Lifecycle();
  const attempt = await attempted(async () => (await container.run(root, ['sh', '-c', look], edit)).ended());
  await container.delete();
  return attempt;
}

for (const [how, edit] of userNamespaces) {
  for (const [name, target] of Object.entries(targets)) {
    test(`links of a bundle to ${name} lead nowhere, whatever they stand for: ${how}`, async () => {
      for (const [path, uses] of Object.entries(places)) {
        for (const [use, change] of uses) {
          const host = canary();
          const root = smallRoot();
          const link = join(root, path);
          fs.rmSync(link, { recursive: true, force: true });
          fs.symlinkSync(target(host.path), link);
          const { output } = await consequences(root, all(edit, change));
          expect({ path, use, output, changes: host.changes() }).toEqual({
            path,
            use,
            output: expect.not.stringContaining('secret of the host'),
            changes: [],
          });
        }
      }
    });
  }

  test(`a link to the root itself does not let a mount cover what is to be left: ${how}`, async () => {
    for (const target of ['/', '..', '.']) {
      const host = canary();
      const root = smallRoot();
      fs.symlinkSync(target, join(root, 'link'));
      const { output } = await consequences(
        root,
        all(edit, mounting(tmpfs('/link'), { destination: '/link', type: 'bind', source: host.path, options: ['ro'] })),
      );
      // Its own volume it may see, wherever that is.
      expect(fs.readdirSync(host.path).sort()).toEqual(['inner', 'passwd', 'secret']);
      expect(output).not.toContain('root:');
    }
  });

  test(`what is no file keeps nobody waiting, wherever it stands: ${how}`, async () => {
    const objects = {
      fifo,
      file: (path: string) => fs.writeFileSync(path, 'x', { mode: 0o666 }),
      directory: (path: string) => fs.mkdirSync(path, { mode: 0o777 }),
      'a loop': (path: string) => fs.symlinkSync(path.slice(dirname(path).length + 1), path),
      'a link to nothing': (path: string) => fs.symlinkSync('/nothing/at/all', path),
    };
    for (const make of Object.values(objects)) {
      const names = ['dev/null', 'dev/console', 'dev/ptmx', 'dev/fd', 'dev/pts', 'tmp/link', 'etc/passwd', 'proc'];
      for (const path of names) {
        const root = smallRoot();
        fs.rmSync(join(root, path), { recursive: true, force: true });
        make(join(root, path));
        // Refused or not: it comes to an end, and nobody waits for the other end of a fifo.
        await consequences(root, all(edit, imagesDev, tty, cwd('/tmp/link/new')));
      }
    }
  }, 120_000);
}

// ---- later commands ----------------------------------------------------------------------------------------------------

for (const [how, edit] of userNamespaces) {
  test(`a running container that exchanged its directories for links leads later commands nowhere: ${how}`, async () => {
    for (const target of Object.values(targets)) {
      const host = canary();
      const root = smallRoot();
      const container = new Lifecycle();
      await container.run(root, ['sleep', '1000'], all(edit, without('/dev', '/dev/pts')));
      for (const path of ['dev', 'etc', 'tmp']) {
        fs.rmSync(join(root, path), { recursive: true, force: true });
        fs.symlinkSync(target(host.path), join(root, path));
      }
      const args = ['sh', '-c', 'pwd; cat secret /*/secret; echo > made'];
      for (const process of [
        { args, cwd: '/tmp/inner/new' },
        { args, cwd: '/tmp' },
        { args: ['/tmp/secret'] },
        { args, terminal: true },
        { args, user: { uid: 4242, gid: 4242 } },
      ]) {
        const { output } = await attempted(() => container.exec(process));
        expect(output).not.toContain('secret of the host');
      }
      await container.delete();
      expect(host.changes()).toEqual([]);
    }
  }, 120_000);
}
