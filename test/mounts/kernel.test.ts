import { afterAll, beforeAll, describe, expect } from 'vitest';
import { testIf } from '../support/requires.ts';
import { type Bundles, bundles, mountOf, without, withoutUser } from './bundles.ts';

const test = testIf('userns', 'busybox');
const testRoot = testIf('root', 'busybox');

let at: Bundles;
beforeAll(() => {
  at = bundles();
});
afterAll(() => at.remove());

describe('sysfs with the network of the host', () => {
  test('is the host’s, and read-only with all that is mounted below it, whatever was asked', async () => {
    const script = `awk '$5 ~ "^/sys" {print $6}' /proc/self/mountinfo | cut -d, -f1 | sort -u
      mkdir /sys/fs/cgroup/x 2>/dev/null || echo no`;
    const out = await at.shell(script, (spec) => {
      without('network')(spec);
      spec.mounts = spec.mounts!.filter(({ type }) => type !== 'cgroup' && type !== 'sysfs');
      spec.mounts.push({ destination: '/sys', type: 'sysfs', options: ['rw'] });
      spec.linux.maskedPaths = [];
    });
    expect(out).toBe('ro\nno\n');
  });
});

describe('control groups', () => {
  test('without a cgroup namespace are those of the host, and read-only with all below', async () => {
    const script = `awk '$5 ~ "^/sys/fs/cgroup" {print $6}' /proc/self/mountinfo | cut -d, -f1 | sort -u
      d=$(awk '$5 ~ "^/sys/fs/cgroup" && / - cgroup2 / {print $5}' /proc/self/mountinfo | head -1)
      cat $d/cgroup.controllers > /dev/null && mkdir $d/runts-x 2>/dev/null || echo no`;
    const out = await at.shell(script, (spec) => {
      without('cgroup')(spec);
      for (const mount of spec.mounts!) if (mount.type === 'cgroup') mount.options = ['rw'];
    });
    expect(out).toBe('ro\nno\n');
  });

  test('with one, the container is at the top of what it sees', async () => {
    const out = await at.shell('cat /proc/self/cgroup | grep ^0; ls /sys/fs/cgroup | grep -c cgroup.procs');
    expect(out).toBe('0::/\n1\n');
  });

  testRoot('of root without a namespace can be written to when that was asked', async () => {
    const out = await at.shell(mountOf('/sys/fs/cgroup'), (spec) => {
      without('cgroup')(spec);
      withoutUser(spec);
    });
    expect(out).toMatch(/ro,.* cgroup2 /);
  });
});

describe('proc', () => {
  test('without a PID namespace of the container’s own shows the processes that it shares', async () => {
    const out = await at.shell('[ -d /proc/$$ ] && echo yes', without('pid'));
    expect(out).toBe('yes\n');
  });

  testIf(
    'ordinary user',
    'userns',
    'busybox',
  )('where it cannot be had says why', async () => {
    // Once more inside: the /proc of the outer container has masked paths.
    const error = await at
      .shell('true', (spec) => {
        spec.mounts = [{ destination: '/proc', type: 'proc', options: ['surprise'] }];
      })
      .catch((e) => e);
    expect(error).toMatchObject({ code: 'ERR_SETUP', origin: '/mounts/0', hint: expect.any(String) });
  });
});

test('mqueue with the ipc namespace of the host is the host’s, or where that has none mounted an empty one', async () => {
  const out = await at.shell('[ -d /dev/mqueue ] && echo yes', without('ipc'));
  expect(out).toBe('yes\n');
});

describe('hidden and read-only paths', () => {
  test('may be files, directories, links, fifos and devices, and what is missing is passed over', async () => {
    const out = await at.shell(
      'cat /etc/passwd; ls /home; wc -c < /etc/link; touch /etc/group 2>&1 | grep -o Read-only; cat /dev/zero | head -c 3 | wc -c',
      ({ linux, mounts }) => {
        linux.maskedPaths = ['/etc/passwd', '/home', '/etc/link', '/dev/zero', '/no/such', '/etc/passwd/below'];
        linux.readonlyPaths = ['/etc/group', '/dev/null', '/no/such'];
        mounts?.push({ destination: '/etc/link', type: 'bind', source: 'config.json', options: ['bind'] });
      },
    );
    expect(out).toBe('0\nRead-only\n0\n');
  });
});
