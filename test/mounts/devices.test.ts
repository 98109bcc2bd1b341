import { mkdirSync, rmdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { testIf } from '../support/requires.ts';
import { type BundleSpec, type Bundles, bundles, withoutUser } from './bundles.ts';

const test = testIf('userns', 'busybox');
const testRoot = testIf('root', 'busybox');

let at: Bundles;
beforeAll(() => {
  at = bundles();
});
afterAll(() => at.remove());

const stat = (path: string) => `stat -c '%F %t:%T %a' ${path}`;
/** Root without a user namespace, whose devices need no filter. */
const asRoot = (edit: (spec: BundleSpec) => void) => (spec: BundleSpec) => {
  withoutUser(spec);
  spec.linux.resources = { devices: [{ allow: true, access: 'rwm' }] };
  edit(spec);
};

describe('a device', () => {
  test('is the host’s node of its number, wherever the container has it', async () => {
    const out = await at.shell(
      `${stat('/deep/down/xnull')}; echo x > /deep/down/xnull && echo written`,
      ({ linux }) => {
        linux.devices = [{ type: 'c', path: '/deep/down/xnull', major: 1, minor: 3 }];
      },
    );
    expect(out).toBe('character special file 1:3 666\nwritten\n');
  });

  test('is never what the host has at its path under another number', async () => {
    const out = await at.shell(stat('/dev/random'), ({ linux }) => {
      linux.devices = [{ type: 'c', path: '/dev/random', major: 1, minor: 5 }];
    });
    expect(out).toBe('character special file 1:5 666\n');
  });

  test('that the host has no node of is an error for a user namespace', async () => {
    const edit = ({ linux }: BundleSpec) => {
      linux.devices = [{ type: 'b', path: '/dev/null', major: 254, minor: 77 }];
    };
    await expect(at.shell('true', edit)).rejects.toMatchObject({
      ...{ code: 'ERR_UNSUPPORTED', origin: '/linux/devices/0', hint: expect.stringContaining('user namespace') },
    });
  });

  test('may be a fifo', async () => {
    const out = await at.shell(stat('/run/pipe'), ({ linux }) => {
      linux.devices = [{ type: 'p', path: '/run/pipe', fileMode: 0o640 }];
    });
    expect(out).toBe('fifo 0:0 640\n');
  });

  testRoot('of root is a node of its own, with mode and owner', async () => {
    const edit = asRoot(({ linux }) => {
      const fuse = { type: 'c', path: '/dev/sub/fuse', major: 10, minor: 229 } as const;
      linux.devices = [
        { ...fuse, fileMode: 0o600, uid: 7, gid: 8 },
        { ...fuse, type: 'u', path: '/dev/u' },
      ];
    });
    const script = `${stat('/dev/sub/fuse')}; stat -c %u:%g /dev/sub/fuse; ${stat('/dev/u')}; ${stat('/dev/null')}
      chmod 600 /dev/null; grep -c ' /dev/null ' /proc/self/mountinfo`;
    const out = await at.shell(`${script}; true`, edit);
    expect(out).toBe(
      'character special file a:e5 600\n7:8\ncharacter special file a:e5 666\ncharacter special file 1:3 666\n0\n',
    );
  });

  testRoot('of the host’s keeps its mode and owner, whatever root in the container does', async () => {
    const out = await at.shell(
      'chmod 600 /dev/null 2>&1 | grep -o Read-only; echo x > /dev/null && echo ok',
      withoutUser,
    );
    expect(out).toBe('Read-only\nok\n');
    expect(statSync('/dev/null').mode & 0o777).toBe(0o666);
  });

  testRoot('where the image has another file is an error, and where it has the same is left', async () => {
    const device = { type: 'c', path: '/opt/x', major: 1, minor: 3 } as const;
    const edit = asRoot(({ linux }) => {
      linux.devices = [device, device];
    });
    expect(await at.shell(stat('/opt/x'), edit)).toBe('character special file 1:3 666\n');
    const put = (path: string) => {
      mkdirSync(join(path, 'opt'));
      writeFileSync(join(path, 'opt/x'), 'x');
    };
    await expect(at.shell('true', edit, put)).rejects.toMatchObject({
      ...{ code: 'ERR_SETUP', origin: '/linux/devices/0', message: expect.stringContaining('EEXIST') },
    });
  });
});

describe('/dev', () => {
  test('has its links, and the terminals of the container', async () => {
    const out = await at.shell('cd /dev; for l in fd stdin stdout stderr ptmx; do readlink $l; done');
    expect(out).toBe('/proc/self/fd\n/proc/self/fd/0\n/proc/self/fd/1\n/proc/self/fd/2\npts/ptmx\n');
  });

  test('of the host’s, bound, is left as it is', async () => {
    const source = at.directory();
    const out = await at.shell('ls /dev', ({ mounts, linux }) => {
      const dev = mounts!.findIndex(({ destination }) => destination === '/dev');
      mounts!.splice(dev, mounts!.length, { destination: '/dev', type: 'bind', source, options: ['rbind'] });
      linux.devices = [{ type: 'p', path: '/dev/pipe' }];
    });
    expect(out).toBe('sub\n');
  });

  // A link instead of the directory: what goes there stays below the root all the same.
  test.each(['/etc', '../../../../etc', '/../..'])(
    'of the image that is a link to %s leads nowhere else',
    async (to) => {
      const out = await at.shell(
        'ls -d /dev/null; readlink /dev',
        ({ mounts, linux }) => {
          for (let i = mounts!.length - 1; i >= 0; i--)
            if (mounts![i]!.destination.startsWith('/dev')) mounts!.splice(i, 1);
          linux.maskedPaths = [];
        },
        (root) => symlinkReplacing(join(root, 'dev'), to),
      );
      expect(out).toBe(`/dev/null\n${to}\n`);
    },
  );
});

function symlinkReplacing(path: string, to: string): void {
  rmdirSync(path);
  symlinkSync(to, path);
}
