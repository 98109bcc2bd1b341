import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, mkdirSync, readlinkSync, statSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { command, type Ended } from '../cli/runts.ts';
import { testIf } from '../support/requires.ts';
import { type Config, Place } from './oci.ts';

/**
 * What an ordinary user may ask of a runtime, and where the kernel says no: there the answer names what was asked, the
 * errno, why, and what to do instead.
 */
const test = testIf('userns', 'busybox', 'ordinary user');
const testWithIds = testIf('userns', 'busybox', 'ordinary user', 'subuids');
const testTun = existsSync('/dev/net/tun') ? test : test.skip;
const [uid = 0, gid = 0] = [process.getuid?.(), process.getgid?.()];

let place: Place;
let containers = 0;

beforeAll(() => {
  place = new Place();
});
afterAll(() => place.remove());

/** The map that everybody may write: root inside is the user outside, and nobody else exists. */
function single({ linux }: Config): void {
  linux.uidMappings = [{ containerID: 0, hostID: uid, size: 1 }];
  linux.gidMappings = [{ containerID: 0, hostID: gid, size: 1 }];
}

const without = (config: Config, ...types: string[]) => {
  config.linux.namespaces = config.linux.namespaces.filter(({ type }: { type: string }) => !types.includes(type));
};

/** Runs a line of shell in a container with a single id, unless `change` gives it others. */
function answer(command: string, change: (config: Config) => void = () => {}, env?: Record<string, string>) {
  const bundle = place.bundle(command, (config) => {
    single(config);
    change(config);
  });
  return run(bundle, env);
}

const run = (bundle: string, env?: Record<string, string>): Promise<Ended> =>
  place.runts(['run', '--bundle', bundle, `rootless${++containers}`], env === undefined ? {} : { env });

async function shows(ended: Promise<Ended>, stdout: string | RegExp): Promise<Ended> {
  const found = await ended;
  expect(found, found.stderr).toMatchObject({
    code: 0,
    stdout: typeof stdout === 'string' ? stdout : expect.stringMatching(stdout),
  });
  return found;
}

/** A refusal is one line with all of these in it, and nothing is left. */
async function refuses(ended: Ended | Promise<Ended>, ...texts: (string | RegExp)[]): Promise<void> {
  const { code, stdout, stderr } = await ended;
  expect({ code, stdout, lines: stderr.trimEnd().split('\n').length }, stderr).toEqual({
    code: 1,
    stdout: '',
    lines: 1,
  });
  for (const text of texts) expect(stderr).toMatch(text);
  expect(place.left()).toEqual([]);
}

/** Runs a bundle in a mount namespace that somebody else has prepared: the user is who they are, and has no power over it. */
function prepared(script: string, bundle: string): Ended {
  const runts = `exec unshare --user --map-user=${uid} --map-group=${gid} ${command.join(' ')} --root ${place.root} run`;
  const line = `${script}; ${runts} --bundle ${bundle} rootless${++containers}`;
  const { status, stdout, stderr } = spawnSync('unshare', ['-Urm', 'sh', '-ec', line], { encoding: 'utf8' });
  return { code: status, signal: null, stdout, stderr };
}

describe('namespaces and ids', () => {
  test('baseline', () => shows(answer('id -u; id -g'), '0\n0\n'));

  test('no user namespace in config', async () => {
    const bundle = place.bundle('cat /proc/self/uid_map', (config) => without(config, 'user'));
    await shows(run(bundle), new RegExp(`^ +0 +${uid} +1\\n`));
  });

  testWithIds('two-range mapping through newuidmap', async () => {
    const map = (hostID: number) => [
      { containerID: 0, hostID, size: 1 },
      { containerID: 1, hostID: firstSubordinate(), size: 1000 },
    ];
    const ids = answer('cat /proc/self/uid_map /proc/self/setgroups; id -u; id -G', (config) => {
      Object.assign(config.linux, { uidMappings: map(uid), gidMappings: map(gid) });
      config.process.user = { uid: 7, gid: 8, additionalGids: [10] };
    });
    await shows(ids, new RegExp(`^ +0 +${uid} +1\\n +1 +\\d+ +1000\\nallow\\n7\\n8 10\\n$`));
  });

  testWithIds('mapping outside /etc/subuid', () =>
    refuses(
      answer('true', ({ linux }) => linux.uidMappings.push({ containerID: 1, hostID: 70_000, size: 10 })),
      'newuidmap failed with exit code 1: newuidmap: uid range [1-11) -> [70000-70010) not allowed',
      '/linux/uidMappings',
      '/etc/subuid',
    ),
  );

  testWithIds('newuidmap not in PATH', () => {
    // It hands out ids: it is the host's that counts, and not whatever a PATH leads to.
    const ids = answer(
      'cat /proc/self/uid_map /proc/self/setgroups',
      ({ linux }) => linux.uidMappings.push({ containerID: 1, hostID: firstSubordinate(), size: 10 }),
      { PATH: '/nowhere' },
    );
    // Still with its own group only, it may not leave that one.
    return shows(ids, new RegExp(`^ +0 +${uid} +1\\n +1 +\\d+ +10\\ndeny\\n$`));
  });

  test('more than one id, and nobody who hands them out', async () => {
    const bundle = place.bundle('true', (config) => {
      single(config);
      config.linux.uidMappings.push({ containerID: 1, hostID: 200_000, size: 10 });
    });
    await refuses(
      // Where only the own id exists, the subordinate ones are nobody's.
      prepared('true', bundle),
      'an ordinary user can map no id but its own',
      '/linux/uidMappings',
      'newuidmap',
      'package uidmap',
    );
  });

  test('user.uid=1000 not mapped', () =>
    refuses(
      answer('true', ({ process }) => (process.user.uid = 1000)),
      '/process/user/uid: 1000 is not in uidMappings, which have 0',
      'map it as well',
      '/etc/subuid',
    ));

  test('additionalGids [10] with one mapped gid', () =>
    refuses(
      answer('true', ({ process }) => (process.user.additionalGids = [10])),
      '/process/user/additionalGids/0: 10 is not in gidMappings, which have 0',
      'map it as well',
      '/etc/subgid',
    ));

  test('join host-owned netns path', () =>
    refuses(
      answer('true', (config) => {
        without(config, 'network');
        config.linux.namespaces.push({ type: 'network', path: '/proc/self/ns/net' });
      }),
      'cannot join the network namespace /proc/self/ns/net: EPERM',
      '/linux/namespaces',
      'belongs to somebody else',
    ));

  test('time namespace with offset', () =>
    shows(
      answer('cat /proc/self/timens_offsets', ({ linux }) => {
        linux.namespaces.push({ type: 'time' });
        linux.timeOffsets = { boottime: { secs: 7200 } };
      }),
      /boottime +7200 +0\n$/,
    ));
});

describe('mounts', () => {
  test('proc mount while the parent /proc is masked (nested)', async () => {
    const bundle = place.bundle('true', single);
    await refuses(
      prepared('mount -t tmpfs none /proc/sys/fs', bundle),
      'cannot mount proc on /proc: EPERM',
      '/mounts/0',
      '/proc/sys/fs',
      'unmask',
    );
  });

  test('proc mount without new pid ns', () =>
    shows(
      answer('readlink /proc/self/ns/pid', (config) => without(config, 'pid')),
      `${readlinkSync('/proc/self/ns/pid')}\n`,
    ));

  test('sysfs with host network ns', async () => {
    const { stdout } = await shows(
      answer("grep ' /sys' /proc/self/mounts; ls /sys/class/net", (config) => {
        without(config, 'network');
        config.mounts.push({ destination: '/sys', type: 'sysfs', source: 'sysfs', options: ['nosuid'] });
      }),
      /^sysfs \/sys sysfs ro,/,
    );
    // And whatever is mounted there: the host's cgroups are not to be written to.
    expect(stdout.match(/ \/sys\S* \S+ rw/g)).toBeNull();
    expect(stdout).toContain('lo\n');
  });

  test('devpts gid=5 with one mapped id', async () => {
    const { stderr } = await shows(
      answer("grep ' /dev/pts' /proc/self/mounts", ({ mounts }) => mounts[2].options.push('gid=5')),
      /^devpts \/dev\/pts devpts (?!.*gid=)/,
    );
    expect(stderr).toContain('gid=5 is left out: this id is not mapped in the user namespace of the container');
  });

  test('mqueue with host ipc ns', () =>
    shows(
      answer('test -d /dev/mqueue && echo there', (config) => {
        without(config, 'ipc');
        config.mounts.push({ destination: '/dev/mqueue', type: 'mqueue', source: 'mqueue' });
      }),
      'there\n',
    ));

  test('cgroup mount, cgroup ns', () =>
    shows(
      answer("grep ' /sys/fs/cgroup' /proc/self/mounts", ({ mounts }) => {
        mounts.push({ destination: '/sys', type: 'sysfs', source: 'sysfs', options: ['ro'] });
        mounts.push({ destination: '/sys/fs/cgroup', type: 'cgroup', source: 'cgroup', options: ['ro', 'nosuid'] });
      }),
      /^cgroup2? \/sys\/fs\/cgroup cgroup2 ro,nosuid/,
    ));

  test('bind of a nosuid,nodev,noexec source with ro (locked flags)', () => {
    const bundle = place.bundle("grep ' /lk ' /proc/self/mounts", bindOfLocked('ro'));
    expect(prepared(mountLocked(), bundle)).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/ \/lk tmpfs ro,nosuid,nodev,noexec,/),
    });
  });

  test('bind of nodev source asking dev,suid,exec', () => {
    const bundle = place.bundle("grep ' /lk ' /proc/self/mounts", bindOfLocked('dev', 'suid', 'exec'));
    expect(prepared(mountLocked(), bundle)).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/ \/lk tmpfs rw,nosuid,nodev,noexec,/),
    });
  });

  test('non-recursive bind of a dir with locked submounts', async () => {
    const bundle = place.bundle('true', (config) => {
      single(config);
      config.mounts.push({ destination: '/lk', type: 'bind', source: locked(), options: ['bind'] });
    });
    await refuses(
      prepared(`mkdir -p ${locked()}/sub; mount -t tmpfs none ${locked()}/sub`, bundle),
      `cannot bind ${locked()} on /lk: EINVAL`,
      '/mounts/4',
      'rbind',
    );
  });

  test('idmapped bind mount', () =>
    refuses(
      answer('true', ({ mounts }) =>
        mounts.push({ destination: '/im', type: 'bind', source: '/tmp', options: ['bind', 'idmap'] }),
      ),
      'cannot map the owners of the mount on /im',
      'EPERM',
      '/mounts/4',
      'root',
    ));

  test('mount type ext4', () =>
    refuses(
      answer('true', ({ mounts }) => mounts.push({ destination: '/x', type: 'ext4', source: '/dev/vda' })),
      'cannot mount ext4 on /x: EPERM',
      '/mounts/4',
      'Mount it on the host and bind it',
    ));

  test('mount type overlay', () => {
    const at = `${place.directory.path}/overlay`;
    for (const name of ['lower', 'upper', 'work']) mkdirSync(`${at}/${name}`, { recursive: true });
    return shows(
      answer("grep ' /ov ' /proc/self/mounts; echo new > /ov/file; cat /ov/file", ({ mounts }) =>
        mounts.push({
          destination: '/ov',
          type: 'overlay',
          source: 'overlay',
          options: [`lowerdir=${at}/lower`, `upperdir=${at}/upper`, `workdir=${at}/work`, 'userxattr'],
        }),
      ),
      /^overlay \/ov overlay .*userxattr.*\nnew\n$/,
    );
  });

  test('tmpfs with uid=/gid= unmapped', () =>
    refuses(
      answer('true', ({ mounts }) =>
        mounts.push({ destination: '/x', type: 'tmpfs', source: 't', options: ['uid=1000', 'gid=1000'] }),
      ),
      'cannot mount on /x: uid=1000: this id is not mapped in the user namespace of the container',
      '/mounts/4/options',
      'linux.uidMappings',
    ));

  test('rshared rootfsPropagation', () =>
    shows(
      answer("grep -E '^([^ ]+ ){4}/ ' /proc/self/mountinfo", ({ linux }) => (linux.rootfsPropagation = 'rshared')),
      / shared:\d+ - /,
    ));
});

describe('devices', () => {
  test('extra device /dev/fuse (mknod impossible)', () => {
    const there = existsSync('/dev/fuse');
    const ended = answer("stat -c '%F %t:%T' /dev/fuse; stat -f -c %T /dev/fuse >/dev/null", ({ linux }) => {
      linux.devices = [{ type: 'c', path: '/dev/fuse', major: 10, minor: 229, fileMode: 0o666 }];
    });
    return there ? shows(ended, 'character special file a:e5\n') : refuses(ended, '/dev/fuse (c 10:229)');
  });

  testTun('a bind of /dev/net/tun', () =>
    shows(
      answer("stat -c '%F %t:%T' /dev/net/tun", ({ mounts }) =>
        mounts.push({ destination: '/dev/net/tun', type: 'bind', source: '/dev/net/tun', options: ['bind'] }),
      ),
      'character special file a:c8\n',
    ),
  );

  test('extra device with another path /dev/xnull 1:3', () =>
    shows(
      answer("stat -c '%F %t:%T' /dev/xnull; echo gone > /dev/xnull; wc -c < /dev/xnull", ({ linux }) => {
        linux.devices = [{ type: 'c', path: '/dev/xnull', major: 1, minor: 3 }];
      }),
      'character special file 1:3\n0\n',
    ));

  test('extra device 254:0 not present on host path', () =>
    refuses(
      answer('true', ({ linux }) => {
        linux.devices = [{ type: 'c', path: '/dev/notthere', major: 254, minor: 77 }];
      }),
      'cannot make the device /dev/notthere (c 254:77)',
      '/linux/devices/0',
      "the host's /dev has none of this number",
    ));
});

describe('limits and settings', () => {
  test('memory limit without cgroup delegation', () =>
    refuses(
      answer('true', ({ linux }) => {
        linux.resources = { memory: { limit: 64 << 20 } };
      }),
      'cannot set memory limit: container could not join or create cgroup',
      '/linux/resources/memory/limit',
      'cgroup',
    ));

  test('pids limit + cgroupsPath without delegation', () =>
    refuses(
      answer('true', ({ linux }) => {
        linux.cgroupsPath = '/rl-x';
        linux.resources = { pids: { limit: 20 } };
      }),
      // With the hierarchy of version 1 beside it, or because nothing is delegated.
      /cannot set the limit pids\/limit \(pids\.max\)|unable to apply cgroup configuration: permission denied/,
      /config \/linux\/(resources\/pids\/limit|cgroupsPath)/,
      /cgroup v2 only|Delegate=yes/,
    ));

  test('sysctl net.* in own netns', () =>
    shows(
      answer('cd /proc/sys/net/ipv4; cat ip_unprivileged_port_start ping_group_range', ({ linux }) => {
        linux.sysctl = { 'net.ipv4.ip_unprivileged_port_start': '80', 'net.ipv4.ping_group_range': '0 0' };
      }),
      '80\n0\t0\n',
    ));

  test('sysctl net.* in the host netns', () =>
    refuses(
      answer('true', (config) => {
        without(config, 'network');
        config.linux.sysctl = { 'net.ipv4.ip_unprivileged_port_start': '80' };
      }),
      '/linux/sysctl/net.ipv4.ip_unprivileged_port_start',
      'network namespace',
    ));

  test('sysctl kernel.shmmax in own ipcns', () =>
    shows(
      answer('cat /proc/sys/kernel/shmmax', ({ linux }) => {
        linux.sysctl = { 'kernel.shmmax': '123456' };
      }),
      '123456\n',
    ));

  test('oomScoreAdj -500', () =>
    refuses(
      answer('true', ({ process }) => (process.oomScoreAdj = -500)),
      'cannot write "-500" to /proc/self/oom_score_adj: EACCES',
      '/process/oomScoreAdj',
      'CAP_SYS_RESOURCE',
    ));

  test('oomScoreAdj +500', () =>
    shows(
      answer('cat /proc/self/oom_score_adj', ({ process }) => (process.oomScoreAdj = 500)),
      '500\n',
    ));

  test('rlimit hard raised', () =>
    refuses(
      answer('true', ({ process }) => {
        process.rlimits = [{ type: 'RLIMIT_MEMLOCK', soft: 1 << 20, hard: 2 ** 50 }];
      }),
      'cannot set RLIMIT_MEMLOCK to 1048576, at most 1125899906842624: EPERM',
      '/process/rlimits/0',
      'CAP_SYS_RESOURCE',
    ));

  test('scheduler SCHED_FIFO 1', () =>
    refuses(
      answer('true', ({ process }) => {
        process.scheduler = { policy: 'SCHED_FIFO', priority: 1 };
      }),
      'cannot schedule by SCHED_FIFO with priority 1 and nice 0: EPERM',
      '/process/scheduler',
      'CAP_SYS_NICE',
      'RLIMIT_RTPRIO',
    ));

  test('seccomp without noNewPrivileges', () =>
    shows(
      answer('mkdir /tmp/no; grep -E "^(NoNewPrivs|Seccomp):" /proc/self/status', (config) => {
        config.process.noNewPrivileges = false;
        config.linux.seccomp = {
          defaultAction: 'SCMP_ACT_ALLOW',
          syscalls: [{ names: ['mkdir', 'mkdirat'], action: 'SCMP_ACT_ERRNO' }],
        };
      }),
      'NoNewPrivs:\t0\nSeccomp:\t2\n',
    ));
});

describe('the root file system', () => {
  test('rootfs below a 0700 dir of another user', async () => {
    const closed = `${place.directory.path}/private`;
    mkdirSync(`${closed}/rootfs`, { recursive: true });
    // Closed to ourselves, as somebody else's would be.
    chmodSync(closed, 0);
    try {
      await refuses(
        answer('true', ({ root }) => (root.path = `${closed}/rootfs`)),
        `cannot use ${closed}/rootfs as rootfs`,
        'EACCES',
        `the directory ${closed} on the way to it`,
        '/root/path',
        `chmod +x ${closed}`,
      );
    } finally {
      chmodSync(closed, 0o700);
    }
  });

  testWithIds('rootfs below a 0700 dir of our own, and a command of another id', async () => {
    const closed = `${place.directory.path}/own`;
    mkdirSync(closed, { mode: 0o700 });
    cpSync(place.rootfs.path, `${closed}/rootfs`, { recursive: true, verbatimSymlinks: true });
    const bundle = place.bundle('id -u; ls -d /bin', (config) => {
      config.root.path = `${closed}/rootfs`;
      config.process.user = { uid: 7, gid: 7 };
    });
    await shows(run(bundle), '7\n/bin\n');
  });

  test('on a mount without set-uid programs and devices it stays so', () => {
    const root = locked();
    const bundle = place.bundle("sed -n 's/^[^ ]* \\/ \\(tmpfs [^ ]*\\) .*/\\1/p' /proc/self/mounts", (config) => {
      single(config);
      config.root.path = root;
    });
    const found = prepared(`mount -t tmpfs -o nosuid,nodev none ${root}; cp -a ${place.rootfs.path}/. ${root}`, bundle);
    expect(found, found.stderr).toMatchObject({ code: 0, stdout: expect.stringMatching(/^tmpfs rw,nosuid,nodev,/) });
  });

  test('on a mount without programs, that is why nothing runs', () => {
    const root = locked();
    const bundle = place.bundle('true', (config) => {
      single(config);
      config.root.path = root;
    });
    const found = prepared(`mount -t tmpfs -o noexec none ${root}; cp -a ${place.rootfs.path}/. ${root}`, bundle);
    expect(found).toMatchObject({ code: 1, stderr: expect.stringMatching(/permission denied/) });
  });

  test('below a directory of another id, a mount point cannot be made', () =>
    refuses(
      answer('true', ({ mounts }) => {
        mounts.push({ destination: '/usr', type: 'bind', source: '/usr', options: ['bind'] });
        mounts.push({ destination: '/usr/no such directory', type: 'tmpfs', source: 'tmpfs' });
      }),
      /cannot mount on usr\/no such directory: (EACCES|EOVERFLOW)/,
      '/mounts/5',
      'an id that the container does not map',
    ));
});

test('the record of a container is kept from those who clear old files away below XDG_RUNTIME_DIR', async () => {
  await place.ok('create', '--bundle', place.bundle('true', single), 'kept');
  for (const name of ['state.json', 'config.json'])
    expect(statSync(`${place.root}/kept/${name}`).mode & 0o7777).toBe(0o1600);
  await place.ok('delete', '--force', 'kept');
});

/** A directory that `prepared` may mount on. */
function locked(): string {
  const path = `${place.directory.path}/locked`;
  mkdirSync(path, { recursive: true });
  return path;
}

const mountLocked = () => `mount -t tmpfs -o nosuid,nodev,noexec none ${locked()}`;

const bindOfLocked =
  (...options: string[]) =>
  (config: Config) => {
    single(config);
    config.mounts.push({ destination: '/lk', type: 'bind', source: locked(), options: ['bind', ...options] });
  };

function firstSubordinate(): number {
  const { stdout } = spawnSync('sh', ['-c', 'grep "^$(id -un):" /etc/subuid | head -n1 | cut -d: -f2'], {
    encoding: 'utf8',
  });
  return Number(stdout);
}
