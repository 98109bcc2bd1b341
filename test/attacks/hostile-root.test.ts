// CVE-2019-19921, CVE-2021-30465, CVE-2023-27561, CVE-2024-9676, CVE-2024-45310, CVE-2026-41579: a root file system whose
// links lead out of it. What they lead to may be written to by everybody: nothing but the runtime keeps it as it is.
import fs from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect } from 'vitest';
import { RuntsError, run } from '../../lib/index.ts';
import type { ContainerOptions } from '../../lib/spec/options.ts';
import { attackIf, canary, fifo, hostMounts, payload, smallRoot } from '../support/attack.ts';
import { testIf } from '../support/requires.ts';

const rooted = testIf('userns', 'busybox');
const mountsBefore = hostMounts().filter((line) => line.includes('runts-attack'));
afterAll(() => expect(hostMounts().filter((line) => line.includes('runts-attack'))).toEqual(mountsBefore));

/** A run that may fail, but only with a reason, and what it wrote. */
async function outcome(rootfs: string, options: object): Promise<string> {
  const all = { rootfs, command: ['/bin/sh', '-c', 'cat /*/secret /*/*/secret 2>&1; echo ran'], ...options };
  try {
    return (await run({ ...all, reject: false, timeout: 10_000 } as unknown as ContainerOptions)).stdout;
  } catch (error) {
    expect(error).toBeInstanceOf(RuntsError);
    expect((error as RuntsError).code).not.toBe('ERR_INTERNAL');
    return '';
  }
}

/** Where links of an image may try to lead. */
const targets: Readonly<Record<string, (host: string) => string>> = {
  'an absolute path of the host': (host) => host,
  'a path that climbs': (host) => `${'../'.repeat(20)}${host.slice(1)}`,
  "process 1's root": (host) => `/proc/1/root${host}`,
  "its own process's root": (host) => `/proc/self/root${host}`,
  itself: () => 'loop',
};

type Edit = { mounts: { destination: string }[]; linux: { maskedPaths: string[]; readonlyPaths: string[] } };
/** Without the file system of /dev, what is mounted and made there goes through the image's own. */
const imagesDev = {
  spec: (spec: Edit) => {
    spec.mounts = spec.mounts.filter(({ destination }) => destination !== '/dev');
  },
};
const masks = {
  spec: (spec: Edit) => {
    spec.linux.maskedPaths.push('/tmp/link/secret', '/tmp/link/inner');
    spec.linux.readonlyPaths.push('/tmp/link');
  },
};

/** What an image may have as a link, and the options with which the runtime goes through it. */
const places: readonly (readonly [path: string, options: object])[] = [
  ['proc', {}],
  ['sys', {}],
  ['dev', {}],
  ['dev', imagesDev],
  ['dev/pts', imagesDev],
  ['dev/shm', imagesDev],
  ['dev/null', imagesDev],
  ['dev/console', { ...imagesDev, tty: true }],
  ['etc', { user: 'root' }],
  ['tmp/link', masks],
  ['tmp/link', { mounts: [{ type: 'tmpfs', target: '/tmp/link/inner/new' }] }],
  ['tmp/link', { mounts: [{ type: 'bind', source: '', target: '/tmp/link/inner/file' }] }],
  ['tmp/link', { cwd: '/tmp/link/inner/cwd' }],
  ['tmp/link', { cwd: '/tmp/link' }],
];

for (const [name, target] of Object.entries(targets)) {
  attackIf('busybox')(`links to ${name} lead nowhere, whatever they stand for`, async () => {
    for (const [path, options] of places) {
      const host = canary();
      const root = smallRoot();
      fs.rmSync(join(root, path), { recursive: true, force: true });
      fs.symlinkSync(target(host.path), join(root, path));
      fs.symlinkSync('loop', join(root, 'loop'));
      const output = await outcome(root, resolved(options));
      expect({ path, output, changes: host.changes() }).toEqual({
        path,
        output: expect.not.stringContaining('secret of the host'),
        changes: [],
      });
    }
  });
}

/** The path of the program is known late. */
const resolved = (options: object) =>
  JSON.stringify(options).includes('"type":"bind"')
    ? { mounts: [{ type: 'bind', source: payload(), target: '/tmp/link/inner/file' }] }
    : options;

// ---- accounts ----------------------------------------------------------------------------------------------------------

rooted('the accounts of the host are not those of an image whose /etc/passwd is a link', async () => {
  for (const target of Object.values(targets)) {
    const host = canary();
    const root = smallRoot();
    fs.rmSync(join(root, 'etc/passwd'));
    fs.symlinkSync(target(join(host.path, 'passwd')), join(root, 'etc/passwd'));
    const attempt = run({ rootfs: root, command: ['id'], user: 'evil' });
    await expect(attempt).rejects.toBeInstanceOf(RuntsError);
    await expect(attempt).rejects.toMatchObject({ code: expect.not.stringContaining('ERR_INTERNAL') });
  }
});

const spoiled: Readonly<Record<string, (path: string) => void>> = {
  'a fifo': fifo,
  'a directory': (path) => fs.mkdirSync(path),
  'a file of 8 GiB': (path) => {
    fs.writeFileSync(path, '');
    fs.truncateSync(path, 8 * 1024 ** 3);
  },
  'a loop of links': (path) => fs.symlinkSync('passwd', path),
};

for (const [what, make] of Object.entries(spoiled)) {
  rooted(`/etc/passwd as ${what} neither stops nor fills the runtime`, async () => {
    const root = smallRoot();
    fs.rmSync(join(root, 'etc/passwd'));
    make(join(root, 'etc/passwd'));
    const began = Date.now();
    await outcome(root, { user: 'root', timeout: 3000 });
    await outcome(root, { timeout: 3000 });
    expect(Date.now() - began).toBeLessThan(2000);
    expect(process.memoryUsage().rss).toBeLessThan(1024 ** 3);
  });
}

rooted('ids that a passwd file cannot have are nobody, and above all not root', async () => {
  const root = smallRoot();
  for (const uid of ['4294967296', '4294967295', '-1', '0x0', ' 0', '00000000000', '+0', '1e0', '']) {
    fs.writeFileSync(join(root, 'etc/passwd'), `evil:x:${uid}:0::/:/bin/sh\n`);
    await expect(run({ rootfs: root, command: ['id', '-u'], user: 'evil' })).rejects.toMatchObject({
      code: 'ERR_SPEC',
    });
  }
});

for (const user of ['4294967296', '4294967295', '-1', ' 0', '0 ', '+0', '0x0', '1e0', ':', '0:', ':0', '0:0:0']) {
  rooted(`"${user}" is no user`, async () => {
    await expect(run({ rootfs: smallRoot(), command: ['id'], user })).rejects.toMatchObject({ code: 'ERR_SPEC' });
  });
}

rooted('a number is never looked up as a name', async () => {
  const root = smallRoot();
  fs.writeFileSync(join(root, 'etc/passwd'), 'root:x:0:0::/:/bin/sh\n1:x:0:0::/:/bin/sh\n');
  const result = await run({ rootfs: root, command: ['id', '-u'], user: '1', reject: false }).catch(() => undefined);
  expect(['1\n', undefined]).toContain(result?.stdout);
});
