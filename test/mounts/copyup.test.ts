import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { testIf } from '../support/requires.ts';
import { type Bundles, bundles } from './bundles.ts';

const test = testIf('userns', 'busybox');

let at: Bundles;
beforeAll(() => {
  at = bundles();
});
afterAll(() => at.remove());

const tmpfs = (options: string[], destination = '/data'): Parameters<Bundles['shell']>[1] => {
  return ({ mounts }) => {
    mounts?.push({ destination, type: 'tmpfs', options });
  };
};

describe('a tmpfs with tmpcopyup', () => {
  test('begins with what the image has there: files, modes, times, links, fifos', async () => {
    const image = (root: string) => {
      const data = join(root, 'data');
      mkdirSync(join(data, 'a/b'), { recursive: true });
      writeFileSync(join(data, 'a/b/file'), 'text');
      chmodSync(join(data, 'a/b/file'), 0o640);
      utimesSync(join(data, 'a/b/file'), 1000, 1000);
      chmodSync(join(data, 'a'), 0o711);
      symlinkSync('/nowhere', join(data, 'link'));
      execFileSync('mkfifo', [join(data, 'fifo')]);
      writeFileSync(join(root, 'etc/kept'), '');
    };
    const script = `cd /data; cat a/b/file; echo; stat -c '%a %Y' a/b/file; stat -c %a a; readlink link; stat -c %F fifo
      echo new > new; ls`;
    const out = await at.shell(script, tmpfs(['tmpcopyup']), image);
    expect(out).toBe('text\n640 1000\n711\n/nowhere\nfifo\na\nfifo\nlink\nnew\n');
  });

  test('is read-only only after that, and empty where the image has nothing', async () => {
    const image = (root: string) => {
      mkdirSync(join(root, 'data'));
      writeFileSync(join(root, 'data/file'), 'text');
    };
    const script = 'cat /data/file; touch /data/x 2>&1 | grep -o Read-only';
    expect(await at.shell(script, tmpfs(['tmpcopyup', 'ro']), image)).toBe('textRead-only\n');
    expect(await at.shell('ls /data', tmpfs(['tmpcopyup']))).toBe('');
  });

  test('copies no more than fits, and says so', async () => {
    const image = (root: string) => {
      mkdirSync(join(root, 'data'));
      writeFileSync(join(root, 'data/large'), Buffer.alloc(1024 * 1024, 1));
    };
    await expect(at.shell('true', tmpfs(['tmpcopyup', 'size=64k']), image)).rejects.toMatchObject({
      ...{ code: 'ERR_SETUP', origin: '/mounts/7', message: expect.stringContaining('ENOSPC') },
    });
  });

  test('is not led out of the image by links in it, be they the directory itself', async () => {
    const secret = at.directory();
    writeFileSync(join(secret, 'secret'), 'secret');
    const image = (to: string) => (root: string) => symlinkSync(to, join(root, 'data'));
    for (const to of [secret, `../../../../..${secret}`, '/proc/1/root/etc', '/proc/self/cwd']) {
      const out = await at
        .shell('ls -R /data 2>/dev/null | grep secret || echo none', tmpfs(['tmpcopyup']), image(to))
        .catch((error) => `${error.code}\n`);
      expect(['none\n', 'ERR_SETUP\n']).toContain(out);
    }
    const inside = (root: string) => {
      mkdirSync(join(root, 'data'));
      symlinkSync(secret, join(root, 'data/link'));
    };
    expect(await at.shell('ls /data/; ls /data/link/ 2>/dev/null; true', tmpfs(['tmpcopyup']), inside)).toBe('link\n');
  });

  test('is for a tmpfs only', async () => {
    const edit: Parameters<Bundles['shell']>[1] = ({ mounts }) => {
      mounts?.push({ destination: '/data', type: 'bind', source: '/etc', options: ['rbind', 'tmpcopyup'] });
    };
    await expect(at.shell('true', edit)).rejects.toMatchObject({ code: 'ERR_SPEC', origin: '/mounts/7/options' });
  });
});

describe('the mode of a tmpfs', () => {
  const image = (root: string) => {
    mkdirSync(join(root, 'data'));
    chmodSync(join(root, 'data'), 0o1730);
  };

  test('is that of the directory which it covers, unless one is given', async () => {
    expect(await at.shell('stat -c %a /data', tmpfs([]), image)).toBe('1730\n');
    expect(await at.shell('stat -c %a /data', tmpfs(['tmpcopyup']), image)).toBe('1730\n');
    expect(await at.shell('stat -c %a /data', tmpfs(['mode=0701']), image)).toBe('701\n');
  });

  test('is the kernel’s own where there is no directory', async () => {
    expect(await at.shell('stat -c %a /data', tmpfs([]))).toBe('1777\n');
  });
});
