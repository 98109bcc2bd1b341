import { chmodSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { run } from '../../lib/index.ts';
import { look } from '../support/look.ts';
import { testIf } from '../support/requires.ts';
import { type Bundles, bundles, mountOf, withoutUser } from './bundles.ts';

const test = testIf('userns', 'busybox');
const testRoot = testIf('root', 'busybox');

let at: Bundles;
beforeAll(() => {
  at = bundles();
});
afterAll(() => at.remove());

describe('the propagation of the root', () => {
  test.each([
    ['private', /^(?!.*(shared|master|unbindable))/],
    ['rprivate', /^(?!.*(shared|master|unbindable))/],
    ['unbindable', /unbindable/],
    ['runbindable', /unbindable/],
    ['shared', /shared:/],
    ['rshared', /shared:/],
  ])('%s', async (word, expected) => {
    const out = await at.shell(mountOf('/'), ({ linux }) => {
      linux.rootfsPropagation = word;
    });
    expect(out).toMatch(expected);
  });

  test('shared sends nothing to the host', async () => {
    const source = at.directory();
    await at.shell('mount -t tmpfs x /data/sub && ls -d /data/sub', ({ linux, mounts, process }) => {
      linux.rootfsPropagation = 'rshared';
      for (const set of ['bounding', 'effective', 'permitted'] as const)
        process.capabilities![set]!.push('CAP_SYS_ADMIN');
      delete linux.seccomp;
      mounts?.push({ destination: '/data', type: 'bind', source, options: ['rbind', 'rshared'] });
    });
    writeFileSync(join(source, 'sub/visible'), '');
    expect(readdirSync(join(source, 'sub'))).toEqual(['visible']);
  });
});

describe('root.path', () => {
  test('that is missing, or no directory, is an error that says so', async () => {
    const edit = (path: string) =>
      at.shell('true', ({ root }) => {
        root.path = path;
      });
    await expect(edit('/no/such')).rejects.toMatchObject({ code: 'ERR_NOT_FOUND', origin: '/root/path' });
    await expect(edit('/etc/passwd')).rejects.toMatchObject({ code: 'ERR_SPEC', origin: '/root/path' });
    await expect(edit('/')).rejects.toMatchObject({ code: 'ERR_SPEC' });
    await expect(edit('/..')).rejects.toMatchObject({ code: 'ERR_SPEC' });
  });

  test('relative to the bundle, and through a link, is found', async () => {
    let made = '';
    const out = await at.shell('echo ok', ({ root }) => {
      made = join(at.directory(), 'link');
      symlinkSync(root.path, made);
      root.path = made;
    });
    expect(out).toBe('ok\n');
  });

  testIf(
    'ordinary user',
    'userns',
    'busybox',
  )('below a closed directory names the directory', async () => {
    const closed = at.directory();
    mkdirSync(join(closed, 'sub/rootfs'));
    chmodSync(join(closed, 'sub'), 0o600);
    const error = await run({ rootfs: join(closed, 'sub/rootfs'), command: ['true'] }).catch((e) => e);
    chmodSync(join(closed, 'sub'), 0o700);
    expect(error).toMatchObject({ code: 'ERR_SPEC', message: expect.stringContaining(`${closed}/sub on the way`) });
  });
});

describe('a read-only root', () => {
  test('is read-only after all mount points were made, and keeps what the host has locked', async () => {
    const out = await at.shell(
      'ls -d /made/here; touch /x 2>&1 | grep -o Read-only; touch /made/here/y && echo y',
      (spec) => {
        spec.root.readonly = true;
        spec.mounts?.push({ destination: '/made/here', type: 'tmpfs', options: [] });
      },
    );
    expect(out).toBe('/made/here\nRead-only\ny\n');
  });
});

testRoot('a destination that another process keeps turning into a link stays inside', async () => {
  // The race of CVE-2021-30465, in short: the image changes between two runs of everything but the mount itself.
  const outside = at.directory();
  for (let i = 0; i < 5; i++) {
    await at.shell(
      'true',
      (spec) => {
        withoutUser(spec);
        spec.mounts?.push({ destination: '/a/b', type: 'tmpfs', options: [] });
      },
      (root) => symlinkSync(i % 2 === 0 ? outside : `../../../../..${outside}`, join(root, 'a')),
    );
  }
  expect(readdirSync(outside)).toEqual(['sub']);
});

test('a configuration without namespaces is refused, and mounts nothing on the host', async () => {
  const before = look().mounts;
  const made = at.shell('true', (spec) => {
    spec.linux = { namespaces: [] };
  });
  await expect(made).rejects.toMatchObject({ code: 'ERR_SPEC', origin: '/linux/namespaces' });
  expect(look().mounts).toEqual(before);
});
