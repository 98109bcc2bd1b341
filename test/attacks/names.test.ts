// CVE-2022-0811, CVE-2024-3154, CVE-2021-43784 and the cgroup paths of R30: names and lengths that are to be taken for others.
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished } from 'vitest';
import { annotatedProperties } from '../../lib/cgroups/scope.ts';
import {
  attempted,
  type BundleSpec,
  Lifecycle,
  place,
  smallRoot,
  userNamespaces,
  withoutUserns,
} from '../support/attack.ts';
import { cgroup2Root, testIf } from '../support/requires.ts';

const test = testIf('userns', 'busybox');
const testRoot = testIf('root', 'busybox');
type Edit = (spec: BundleSpec) => void;

async function outcome(edit: Edit, args: readonly string[] = ['true']) {
  const container = new Lifecycle();
  const attempt = await attempted(async () => (await container.run(smallRoot(), args, edit)).ended());
  await container.delete();
  return attempt;
}

// ---- kernel parameters -------------------------------------------------------------------------------------------------

const watched = ['kernel/core_pattern', 'kernel/hostname', 'net/ipv4/ip_forward', 'kernel/shmmax', 'vm/swappiness'];
const settings = () => watched.map((path) => fs.readFileSync(`/proc/sys/${path}`, 'utf8'));

const noParameters = [
  'kernel.core_pattern',
  'kernel/core_pattern',
  'vm.swappiness',
  'vm.compact_memory',
  'net.ipv4../../kernel.core_pattern',
  'net/../kernel/core_pattern',
  'net/ipv4/../../kernel/core_pattern',
  'fs/mqueue/../../kernel/core_pattern',
  '/proc/sys/kernel/core_pattern',
  'net/./../kernel/core_pattern',
  'net.ipv4.ip_forward+kernel.core_pattern',
  'kernel.shm_rmid_forced=1+kernel.core_pattern',
  'net.ipv4.ip_forward\nkernel.core_pattern',
  'net.ipv4.ip_forward\0',
  'net',
  'net.',
  '.net.ipv4',
  '',
  'kernel.hostname',
] as const;

for (const [how, edit] of userNamespaces) {
  test(`no name of a parameter reaches another one, nor one of the machine: ${how}`, async () => {
    const before = settings();
    for (const name of noParameters) {
      const { output, refused } = await outcome((spec) => {
        edit(spec);
        spec.linux.sysctl = { [name]: '1' };
      });
      expect({ name, output, refused }).toEqual({
        name,
        output: '',
        refused: expect.stringMatching(/^ERR_(SPEC|SETUP)$/),
      });
    }
    expect(settings()).toEqual(before);
  });

  test(`what a value has in it goes to one file, as it is: ${how}`, async () => {
    const before = settings();
    for (const value of ['1\nkernel.core_pattern=x', '1+kernel.core_pattern=x', `1${'\n'.repeat(5000)}`, '1\0x']) {
      await outcome((spec) => {
        edit(spec);
        spec.linux.sysctl = { 'net.ipv4.ip_forward': value };
      });
    }
    expect(settings()).toEqual(before);
  });
}

testRoot(
  'a parameter of a network namespace that is the host’s own is not set, by whichever path it is joined',
  async () => {
    const directory = place('netns');
    const file = join(directory, 'net');
    fs.writeFileSync(file, '');
    execFileSync('mount', ['--bind', '/proc/self/ns/net', file]);
    onTestFinished(() => void execFileSync('umount', [file]));
    const link = join(place('link'), 'directory');
    fs.symlinkSync(directory, link);
    const before = settings();
    const paths = [`/proc/${process.pid}/ns/net`, `/proc/self/../${process.pid}/ns/net`, file, join(link, 'net')];
    for (const path of paths) {
      const { refused } = await outcome((spec) => {
        withoutUserns(spec);
        spec.linux.namespaces = spec.linux.namespaces.map((each) =>
          each.type === 'network' ? { ...each, path } : each,
        );
        // The value that it has: nothing is changed if we are wrong.
        spec.linux.sysctl = { 'net.ipv4.ip_forward': before[2]!.trim() };
      });
      expect({ path, refused }).toEqual({ path, refused: expect.stringMatching(/^ERR_/) });
    }
  },
);

// ---- cgroups -----------------------------------------------------------------------------------------------------------

/** Those that these paths would make: others come and go meanwhile. */
const cgroups = () =>
  fs.readdirSync(cgroup2Root ?? '/sys/fs/cgroup').filter((name) => ['a', 'x', 'tmp'].includes(name));
const climbing = [
  '..',
  '/..',
  '../x',
  '/../x',
  'a/../../x',
  '/a/../../../tmp/x',
  'a/..',
  '/',
  '//',
  '.',
  'a\nb',
  'a\0b',
];

for (const [how, edit] of userNamespaces) {
  test(`a cgroup path that climbs makes nothing anywhere: ${how}`, async () => {
    const before = cgroups();
    for (const path of climbing) {
      const { refused } = await outcome((spec) => {
        edit(spec);
        spec.linux.cgroupsPath = path;
      });
      expect({ path, refused }).toEqual({ path, refused: expect.stringMatching(/^ERR_(SPEC|UNSUPPORTED)$/) });
    }
    expect(cgroups()).toEqual(before);
  });
}

testIf(
  'root',
  'cgroup2',
  'busybox',
)('nor does one that is to be below the cgroup of a container', async () => {
  const container = new Lifecycle('below');
  await container.run(smallRoot(), ['sleep', '1000'], (spec) => {
    withoutUserns(spec);
    spec.linux.cgroupsPath = '/runts-attack-below';
  });
  for (const cgroup of ['..', '../', '/..', 'a/../..', '../runts-attack-below', './../x']) {
    const { output, refused } = await attempted(() => container.exec({ args: ['true'] }, { cgroup }));
    expect({ cgroup, output, refused }).toEqual({ cgroup, output: '', refused: 'ERR_SPEC' });
  }
});

// ---- annotations -------------------------------------------------------------------------------------------------------

testIf()('no annotation sets a property that starts, opens or limits anything', () => {
  const prefix = 'org.systemd.property.';
  const hostile = [
    'ExecStart',
    'ExecStopPost',
    'OnFailure',
    'Requires',
    'Wants',
    'Conflicts',
    'BindsTo',
    'PropagatesStopTo',
  ];
  hostile.push(
    'Slice',
    'PIDs',
    'MemoryMax',
    'TasksMax',
    'DevicePolicy',
    'DeviceAllow',
    'User',
    'RootDirectory',
    'constructor',
  );
  for (const name of [...hostile, '__proto__', 'After\0', 'after', '']) {
    expect(() => annotatedProperties({ [`${prefix}${name}`]: "'x'" }), name).toThrow(/annotation/);
  }
  expect(() => annotatedProperties({ [`${prefix}Delegate`]: 'false' })).toThrow(/annotation/);
});

// ---- lengths -----------------------------------------------------------------------------------------------------------

/** What is counted in fewer bits somewhere than it has here must be refused, or be there in full. */
const lengths: Readonly<Record<string, Edit>> = {
  '100,000 mounts': ({ mounts }) => {
    for (let i = 0; i < 100_000; i++) mounts?.push({ destination: `/tmp/${i}`, type: 'tmpfs' });
  },
  '65,537 groups': ({ process }) => {
    process.user = { uid: 0, gid: 0, additionalGids: Array.from({ length: 65_537 }, (_, i) => i % 1000) };
  },
  'an argument of 3 MiB': ({ process }) => {
    process.args = ['true', 'x'.repeat(3 * 1024 * 1024)];
  },
  '300,000 arguments': ({ process }) => {
    process.args = ['true', ...Array.from({ length: 300_000 }, () => '')];
  },
  '300,000 variables': ({ process }) => {
    process.env = ['PATH=/bin', ...Array.from({ length: 300_000 }, (_, i) => `V${i}=`)];
  },
  'a path of 70,000 bytes': ({ mounts }) => {
    mounts?.push({ destination: `/tmp/${'a/'.repeat(35_000)}`, type: 'tmpfs' });
  },
  'a working directory of 70,000 bytes': ({ process }) => {
    process.cwd = `/tmp/${'a/'.repeat(35_000)}`;
  },
  '10,000 hidden paths': ({ linux }) => {
    for (let i = 0; i < 10_000; i++) linux.maskedPaths?.push(`/proc/${i}`);
  },
  '70,000 limits of one kind': ({ process }) => {
    process.rlimits = Array.from({ length: 70_000 }, () => ({ type: 'RLIMIT_NOFILE', soft: 1, hard: 1 })) as never;
  },
};

for (const [what, change] of Object.entries(lengths)) {
  test(`${what}: refused, and not cut off to fewer`, async () => {
    const { output, refused } = await outcome((spec) => change(spec));
    expect({ output, refused }).toEqual({
      output: '',
      refused: expect.stringMatching(/^ERR_(SPEC|SETUP|EXEC|UNSUPPORTED)$/),
    });
  });
}

test('what is long, but not too long, is there in full', async () => {
  const args = Array.from({ length: 2000 }, (_, i) => `${i}`.padEnd(500, 'x'));
  const { output } = await outcome(() => {}, ['sh', '-c', 'echo $# $(echo -n "$*" | wc -c); echo', '0', ...args]);
  expect(output.trim()).toMatch(/^2000 /);
});
