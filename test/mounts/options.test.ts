import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { testIf } from '../support/requires.ts';
import { type Bundles, bundles, mountOf, withoutUser } from './bundles.ts';

const test = testIf('userns', 'busybox');
const testRoot = testIf('root', 'busybox');

let at: Bundles;
beforeAll(() => {
  at = bundles();
});
afterAll(() => at.remove());

/** What the container sees of a mount of these options: the attributes, the type, and what the superblock has. */
async function seen(options: string[], type = 'tmpfs', source = 'tmpfs'): Promise<string> {
  return at.shell(mountOf('/data'), ({ mounts }) => {
    mounts?.push({ destination: '/data', type, source, options });
  });
}

const attributesOf = (line: string) => line.split(' ')[5];

describe('words of mount(8)', () => {
  test.each([
    [['ro'], 'ro,relatime'],
    [['ro', 'rw'], 'rw,relatime'],
    [['nosuid', 'nodev', 'noexec'], 'rw,nosuid,nodev,noexec,relatime'],
    [['nosuid', 'suid', 'noexec', 'exec'], 'rw,relatime'],
    [['noatime'], 'rw,noatime'],
    [['strictatime'], 'rw'],
    [['strictatime', 'norelatime', 'nodiratime'], 'rw,nodiratime'],
    [['rro'], 'ro,relatime'],
    [['rnosuid', 'rnodev', 'rnoexec', 'rnosymfollow'], 'rw,nosuid,nodev,noexec,relatime,nosymfollow'],
    [['nosymfollow', 'symfollow', 'iversion', 'silent', 'loud', 'defaults'], 'rw,relatime'],
  ])('%j on a tmpfs', async (options, expected) => {
    expect(attributesOf(await seen(options))).toBe(expected);
  });

  test.each([
    [['ro'], /^ro,/],
    [['bind', 'nosuid', 'noexec'], /^rw,nosuid,(nodev,)?noexec,/],
    [['rbind', 'rro', 'nosymfollow'], /^ro,.*nosymfollow/],
  ])('%j on a bind', async (options, expected) => {
    expect(attributesOf(await seen(options, 'bind', at.directory()))).toMatch(expected);
  });

  testRoot('how access times are kept is locked in a user namespace, and free for root', async () => {
    const source = at.directory();
    const out = await at.shell(mountOf('/data'), (spec) => {
      withoutUser(spec);
      spec.mounts?.push({ destination: '/data', type: 'bind', source, options: ['bind', 'noatime'] });
    });
    expect(attributesOf(out)).toMatch(/noatime/);
  });

  test('the superblock has what it is told', async () => {
    expect(await seen(['sync', 'dirsync', 'size=1m', 'mode=0700'])).toMatch(
      /tmpfs tmpfs rw,sync,dirsync,size=1024k,mode=700/,
    );
    expect(await seen(['lazytime', 'nolazytime'])).not.toContain('lazytime');
  });

  test('unknown words go to the file system, which refuses them by name, and a bind has no use for them', async () => {
    await expect(seen(['surprise'])).rejects.toThrow(/Unknown parameter 'surprise'/);
    expect(await seen(['mode=755', 'size=1k'], 'bind', at.directory())).not.toContain('size=1k');
  });

  test('the source is what the first column of /proc/mounts says', async () => {
    const out = await at.shell('awk \'$2 == "/data" || $2 == "/dev/shm" {print $1}\' /proc/mounts', ({ mounts }) => {
      mounts?.push({ destination: '/data', type: 'tmpfs', source: 'mine', options: [] });
    });
    expect(out).toBe('shm\nmine\n');
  });

  test('proc about which nothing is said executes nothing', async () => {
    const out = await at.shell(mountOf('/proc'), ({ mounts }) => {
      mounts![0] = { destination: '/proc', type: 'proc' };
    });
    expect(attributesOf(out)).toBe('rw,nosuid,nodev,noexec,relatime');
  });

  test('a recursive word reaches the mounts below, and a plain one does not', async () => {
    const script = 'awk \'$5 ~ "^/data" {print $5, $6}\' /proc/self/mountinfo';
    const mounts = (options: string[]) => (spec: Parameters<Parameters<Bundles['shell']>[1] & {}>[0]) => {
      spec.mounts?.push({ destination: '/data', type: 'tmpfs', options: [] });
      spec.mounts?.push({ destination: '/data/below', type: 'tmpfs', options: [] });
      spec.mounts?.push({ destination: '/data', options: ['remount', 'bind', ...options] });
    };
    expect(await at.shell(script, mounts(['ro']))).toBe('/data ro,relatime\n/data/below rw,relatime\n');
    expect(await at.shell(script, mounts(['rro']))).toBe('/data ro,relatime\n/data/below ro,relatime\n');
  });
});

describe('remount', () => {
  test('changes a mount of the configuration, and its file system unless it says bind', async () => {
    const line = await at.shell(mountOf('/data'), ({ mounts }) => {
      mounts?.push({ destination: '/data', type: 'tmpfs', options: ['size=1m', 'nosuid'] });
      mounts?.push({ destination: '/data', type: 'tmpfs', source: 'none', options: ['remount', 'size=2m', 'noexec'] });
    });
    expect(line).toMatch(/ rw,nosuid,noexec,relatime .*size=2048k/);
  });

  test('of the root changes the root', async () => {
    const script = 'touch /etc/x 2>&1 | grep -o "Read-only"';
    expect(
      await at.shell(script, ({ mounts }) => {
        mounts?.push({ destination: '/', options: ['remount', 'bind', 'ro'] });
      }),
    ).toBe('Read-only\n');
  });

  test('of what is no mount is an error', async () => {
    const edit: Parameters<Bundles['shell']>[1] = ({ mounts }) => {
      mounts?.push({ destination: '/etc', options: ['remount', 'bind', 'ro'] });
    };
    await expect(at.shell('true', edit)).rejects.toMatchObject({ code: 'ERR_SETUP', origin: '/mounts/7' });
  });
});

test('a mount on / is the new root, and what came before it is hidden', async () => {
  const other = at.directory();
  const out = await at.shell('ls /; ls /sub', ({ mounts, root }) => {
    execFileSync('cp', ['-a', `${root.path}/bin`, other]);
    writeFileSync(join(other, 'mark'), '');
    chmodSync(other, 0o777);
    mounts?.unshift({ destination: '/', type: 'bind', source: other, options: ['rbind'] });
    mounts?.unshift({ destination: '/sub', type: 'tmpfs', options: [] });
  });
  expect(out).toBe('bin\ndev\nmark\nproc\nsub\nsys\n');
});

describe('a tmpfs', () => {
  test('with the owner of an id that is not mapped is an error, and devpts goes without it', async () => {
    await expect(seen(['uid=4000000'])).rejects.toMatchObject({ code: 'ERR_SPEC', origin: '/mounts/7/options' });
    const out = await at.shell('ls -ld /dev/pts | cut -c1', ({ mounts }) => {
      mounts?.push({ destination: '/dev/pts', type: 'devpts', options: ['newinstance', 'gid=4000000'] });
    });
    expect(out).toBe('d\n');
  });
});

describe('copy-symlink', () => {
  test('makes the link again instead of following it, and a source that is none is bound', async () => {
    const source = at.directory();
    symlinkSync('/etc/passwd', join(source, 'link'));
    const out = await at.shell('readlink /opt/link; ls /opt/sub', ({ mounts }) => {
      mounts?.push({ destination: '/opt/link', type: 'bind', source: join(source, 'link'), options: ['copy-symlink'] });
      mounts?.push({ destination: '/opt/sub', type: 'bind', source, options: ['rbind', 'copy-symlink'] });
    });
    expect(out).toBe('/etc/passwd\nlink\nsub\n');
  });
});

describe('sources', () => {
  test('may be a file, a fifo, a socket or a device, and relative to the bundle', async () => {
    const source = at.directory();
    spawnSync('mkfifo', [join(source, 'fifo')]);
    writeFileSync(join(source, 'file'), 'text');
    const out = await at.shell('stat -c %F /m/fifo /m/file /m/null /m/config', ({ mounts }) => {
      const bind = (name: string, from: string) =>
        mounts?.push({ destination: `/m/${name}`, type: 'bind', source: from, options: ['bind', 'ro'] });
      bind('fifo', join(source, 'fifo'));
      bind('file', join(source, 'file'));
      bind('null', '/dev/null');
      bind('config', 'config.json');
    });
    expect(out).toBe('fifo\nregular file\ncharacter special file\nregular file\n');
  });
});

describe('owners of a single mount', () => {
  const owned = () => {
    const source = at.directory();
    chmodSync(source, 0o755);
    writeFileSync(join(source, 'file'), '');
    chownSync(join(source, 'file'), 1000, 1001);
    return source;
  };

  testRoot.each([
    ['uidMappings', [], true],
    ['crun’s option', ['idmap=uids=1000-2000-1;gids=1001-3000-1'], false],
  ])('are mapped by %s, without a user namespace', async (_name, options, fields) => {
    const source = owned();
    const out = await at.shell('stat -c %u:%g /data/file', (spec) => {
      withoutUser(spec);
      spec.mounts?.push({
        ...{ destination: '/data', type: 'bind', source, options: ['bind', ...options] },
        ...(fields && { uidMappings: [{ containerID: 1000, hostID: 2000, size: 1 }] }),
        ...(fields && { gidMappings: [{ containerID: 1001, hostID: 3000, size: 1 }] }),
      });
    });
    expect(out).toBe('2000:3000\n');
  });

  testRoot('relative to the ids of the container', async () => {
    const source = owned();
    const out = await at.shell('stat -c %u:%g /data/file', (spec) => {
      const options = ['bind', 'idmap=uids=@1000-5-1;gids=@1001-6-1'];
      spec.mounts?.push({ destination: '/data', type: 'bind', source, options });
    });
    expect(out).toBe('5:6\n');
  });

  testRoot('where the file system cannot map them are an error', async () => {
    const edit: Parameters<Bundles['shell']>[1] = ({ mounts }) => {
      mounts?.push({ destination: '/data', type: 'bind', source: '/proc', options: ['bind', 'idmap'] });
    };
    await expect(at.shell('true', edit)).rejects.toMatchObject({ code: 'ERR_SETUP', origin: '/mounts/7' });
  });

  testIf(
    'ordinary user',
    'userns',
    'busybox',
  )('are a clear refusal to who is not root', async () => {
    const source = at.directory();
    mkdirSync(join(source, 'x'));
    const edit: Parameters<Bundles['shell']>[1] = ({ mounts }) => {
      mounts?.push({ destination: '/data', type: 'bind', source, options: ['bind', 'idmap'] });
    };
    await expect(at.shell('true', edit)).rejects.toMatchObject({ code: 'ERR_UNSUPPORTED', origin: '/mounts/7' });
  });
});
