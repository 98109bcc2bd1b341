import { existsSync, readdirSync, readFileSync, readlinkSync, statSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { createContainer, run } from '../../lib/index.ts';
import { syscallNumbers } from '../../lib/seccomp/syscalls.ts';
import { defaultCapabilities, maskedPaths, readonlyPaths } from '../../lib/spec/defaults.ts';
import { capabilityBit } from '../../lib/spec/names.ts';
import { testIf } from '../support/requires.ts';
import { busyboxRoot } from '../support/rootfs.ts';
import { fields, inside, lines } from './inside.ts';

const test = testIf('userns');
/** Needs more than one id inside. */
const testMapped = process.getuid?.() === 0 ? testIf('root') : testIf('userns', 'subuids');

const namespacesIn = async (options = {}) => {
  const text = await inside(
    'for n in user mnt pid ipc uts cgroup net time; do readlink /proc/self/ns/$n; done',
    options,
  );
  return Object.fromEntries(lines(text).map((line) => line.split(':') as [string, string]));
};
const ourNamespace = (type: string) => readlinkSync(`/proc/self/ns/${type}`).split(':')[1];

describe('namespaces', () => {
  test('a container has its own user, mount, pid, ipc, uts, cgroup and network namespaces, and our time', async () => {
    const theirs = await namespacesIn();
    for (const type of ['user', 'mnt', 'pid', 'ipc', 'uts', 'cgroup', 'net']) {
      expect({ type, id: theirs[type] }).not.toEqual({ type, id: ourNamespace(type) });
    }
    expect(theirs['time']).toBe(ourNamespace('time'));
  });

  test('a time namespace comes on request, and its clocks are ahead', async () => {
    const ahead = await inside('readlink /proc/self/ns/time; cat /proc/uptime', { time: { boottime: 10_000_000_000 } });
    const [namespace, uptime] = lines(ahead);
    expect(namespace).not.toContain(ourNamespace('time'));
    const ours = Number(readFileSync('/proc/uptime', 'utf8').split(' ')[0]);
    expect(Number(uptime?.split(' ')[0]) - ours).toBeGreaterThan(9_999_000);
  });

  test('the host network is shared on request only', async () => {
    expect((await namespacesIn({ network: 'host' }))['net']).toBe(ourNamespace('net'));
  });

  test('only processes of the container are in /proc', async () => {
    const text = await inside(
      'cd /proc; for p in [0-9]*; do read -r name 2>/dev/null < $p/comm && echo $p $name; done',
    );
    const [first, ...others] = lines(text);
    expect(first).toMatch(/^1 .*runts-ini/);
    expect(others.map((line) => line.split(' ')[1])).toEqual(['sh']);
  });

  test('the loopback interface is up, and is the only one', async () => {
    const text = await inside('ls /sys/class/net; cat /sys/class/net/lo/flags; cat /proc/net/if_inet6');
    const [name, flags, ...addresses] = lines(text);
    expect(name).toBe('lo');
    expect(Number(flags) & 1).toBe(1);
    for (const address of addresses) expect(address).toMatch(/^0{31}1 .* lo$/);
  });

  test('the host name is the short id, or what was asked, and that of the host does not change', async () => {
    const before = hostname();
    expect(await inside('hostname')).toMatch(/^[0-9a-f]{12}\n$/);
    expect(await inside('hostname; echo $HOSTNAME', { hostname: 'web' })).toBe('web\nweb\n');
    expect(hostname()).toBe(before);
  });
});

describe('privileges', () => {
  const mask = defaultCapabilities.reduce((sum, name) => sum | (1n << BigInt(capabilityBit(name) as number)), 0n);
  const hex = (bits: bigint) => bits.toString(16).padStart(16, '0');
  const status = async (options = {}) => fields(await inside('cat /proc/self/status', options));

  test('root has the fourteen capabilities of docker, and none is inheritable or ambient', async () => {
    expect(defaultCapabilities).toHaveLength(14);
    expect(await status()).toMatchObject({
      CapBnd: hex(mask),
      CapPrm: hex(mask),
      CapEff: hex(mask),
      CapInh: hex(0n),
      CapAmb: hex(0n),
    });
  });

  testMapped('an ordinary user of the container has no capability, and the same bounding set', async () => {
    const none = hex(0n);
    const found = await status({ user: '1' });
    expect(found).toMatchObject({ CapBnd: hex(mask), CapPrm: none, CapEff: none, CapInh: none, CapAmb: none });
    expect(found['Uid']).toBe('1\t1\t1\t1');
  });

  test('capabilities are added and dropped', async () => {
    const found = await status({ capabilities: { add: ['CAP_SYS_ADMIN'], drop: ['CAP_MKNOD'] } });
    const wanted = (mask | (1n << 21n)) & ~(1n << 27n);
    expect(found).toMatchObject({ CapBnd: hex(wanted), CapPrm: hex(wanted), CapEff: hex(wanted) });
    expect(await status({ capabilities: { drop: ['ALL'] } })).toMatchObject({ CapBnd: hex(0n), CapEff: hex(0n) });
  });

  test('no_new_privs is set, and seccomp filters', async () => {
    expect(await status()).toMatchObject({ NoNewPrivs: '1', Seccomp: '2' });
    const without = await status({ noNewPrivileges: false, seccomp: 'unconfined' });
    expect(without).toMatchObject({ NoNewPrivs: '0', Seccomp: '0' });
  });

  test('system calls that docker denies are denied', async () => {
    expect(await syscalls({ mount: [0, 0, 0, 0, 0], unshare: [0x10000000], keyctl: [0, 0], bpf: [0, 0, 0] })).toEqual({
      mount: 'EPERM',
      unshare: 'EPERM',
      keyctl: 'EPERM',
      bpf: 'EPERM',
    });
    // Not EPERM: libraries then fall back to clone, whose flags a filter can see.
    expect(await syscalls({ clone3: [0, 0] })).toEqual({ clone3: 'ENOSYS' });
    expect(await syscalls({ getpid: [] })).toEqual({ getpid: 'fine' });
  });

  test('a filter that is not wanted is not there', async () => {
    // EFAULT: the kernel itself looked at the arguments.
    const found = await syscalls({ clone3: [0, 0], keyctl: [0, -2] }, { seccomp: 'unconfined' });
    expect(found['clone3']).not.toBe('ENOSYS');
    expect(found['keyctl']).not.toBe('EPERM');
  });

  test('mount, unshare and chroot out of the container fail for root of the container', async () => {
    const text = await inside('mount -t tmpfs x /tmp; unshare -U true; echo $?; umount /proc; umount /usr; echo $?', {
      stderr: 'ignore',
    });
    expect(text).toBe('1\n32\n');
  });
});

describe('files', () => {
  test('masked paths read as empty', async () => {
    const script = maskedPaths.map(
      (path) =>
        `[ ! -e ${path} ] || echo ${path} $(cat ${path} 2>/dev/null | wc -c) $(ls -A ${path} 2>/dev/null | grep -v ^${path}$ | wc -l)`,
    );
    const found = lines(await inside(script.join('\n')));
    expect(found.length).toBeGreaterThan(3);
    for (const line of found) expect(line).toMatch(/ 0 0$/);
  });

  test('masked paths and the mounts below /proc cannot be written or taken away', async () => {
    const text = await inside('echo 1 > /proc/acpi/x; umount /proc/keys; echo x > /proc/keys && cat /proc/keys', {
      stderr: 'ignore',
      reject: false,
    });
    expect(text).toBe('');
  });

  test('read-only paths cannot be written, even by root of the container', async () => {
    const { stderr } = await run({
      host: true,
      command: [
        'sh',
        '-c',
        'echo 1 > /proc/sys/net/ipv4/ip_forward; echo b > /proc/sysrq-trigger; mkdir /sys/fs/x; true',
      ],
      env: { LC_ALL: 'C' },
    });
    expect(lines(stderr)).toHaveLength(3);
    for (const line of lines(stderr)) expect(line).toMatch(/Read-only file system|Permission denied|nonexistent/);
    const mounts = await inside('cat /proc/self/mountinfo');
    for (const path of readonlyPaths) {
      if (path === '/proc/sysrq-trigger') continue; // is not on every kernel
      expect(
        lines(mounts)
          .find((line) => line.split(' ')[4] === path)
          ?.split(' ')[5],
      ).toMatch(/^ro,/);
    }
  });

  test('/dev has the standard nodes and nothing else', async () => {
    const names = lines(await inside('ls -A /dev'));
    const core = existsSync('/proc/kcore') ? ['core'] : [];
    const links = [...core, 'fd', 'ptmx', 'stderr', 'stdin', 'stdout'];
    const directories = ['mqueue', 'pts', 'shm'];
    const nodes = ['full', 'null', 'random', 'tty', 'urandom', 'zero'];
    expect(names.sort()).toEqual([...links, ...directories, ...nodes].sort());
    const numbers = await inside('cd /dev; stat -c "%n %t:%T" full null random tty urandom zero');
    expect(lines(numbers)).toEqual(['full 1:7', 'null 1:3', 'random 1:8', 'tty 5:0', 'urandom 1:9', 'zero 1:5']);
    expect(await inside('echo x > /dev/null; head -c 3 /dev/zero | wc -c; ls /dev/pts')).toBe('3\nptmx\n');
  });

  test('no descriptor is open but 0, 1 and 2', async () => {
    for (const init of [true, false]) {
      const { stdout } = await run({ host: true, command: ['ls', '/proc/self/fd'], init });
      // 3 is the directory that is being listed.
      expect(stdout).toBe('0\n1\n2\n3\n');
    }
  });

  test('there is nothing above the root', async () => {
    const [root, above] = lines(await inside('stat -c %d:%i / /..'));
    expect(above).toBe(root);
    expect(await inside('cd ../../..; pwd; ls -A /.. > /tmp/a; ls -A / > /tmp/b; cmp /tmp/a /tmp/b')).toBe('/\n');
  });

  test('nothing of the mounts of the host can be seen', async () => {
    const text = await inside('cat /proc/self/mountinfo; cat /proc/1/mountinfo');
    const roots = lines(text).map((line) => ({ root: line.split(' ')[3], at: line.split(' ')[4], line }));
    for (const { root, at, line } of roots) {
      // A clone of a host's directory would show where it was; device nodes and parts of procfs may.
      if (/^\/(dev|proc|sys)(\/|$)/.test(at ?? '')) continue;
      expect({ root, line }).toEqual({ root: '/', line });
    }
    const source = readFileSync('/proc/self/mountinfo', 'utf8').split('\n')[0]?.split(' - ')[1]?.split(' ')[1] ?? '';
    if (source.startsWith('/dev/')) expect(text).not.toContain(source);
  });

  test('process 1 leads to no files but those of the container', async () => {
    const text = await inside('stat -c %d:%i / /proc/1/root/ | uniq | wc -l', { reject: false });
    // It cannot be looked into, or has the same root.
    expect(text).toBe('1\n');
  });
});

describe('ids', () => {
  const maps = async (options = {}) => {
    const text = await inside('cat /proc/self/uid_map; echo -; cat /proc/self/gid_map', options);
    const [uids, gids] = text
      .split('-\n')
      .map((part) => lines(part).map((line) => line.trim().split(/\s+/).map(Number)));
    return { uids: uids ?? [], gids: gids ?? [] };
  };

  testIf('root')('root of the container is a real user of the host without privileges, never its root', async () => {
    const { uids, gids } = await maps();
    for (const [, host] of [...uids, ...gids]) expect(host).toBeGreaterThan(0);
    expect(uids.reduce((sum, [, , size]) => sum + (size ?? 0), 0)).toBe(65536);
    expect((await maps({ userns: 'host' })).uids[0]).toEqual([0, 0, 4294967295]);
  });

  testIf('ordinary user', 'subuids')('an ordinary user is root inside, and gets the subordinate ids', async () => {
    // As the host sees them: inside they are told in ids of the user namespace above, which may be a zygote's.
    await using container = await createContainer({ host: true, command: ['sleep', '1000'] });
    const [uids = [], gids = []] = ['uid_map', 'gid_map'].map((file) =>
      lines(readFileSync(`/proc/${container.pid}/${file}`, 'utf8')).map((line) => line.trim().split(/\s+/).map(Number)),
    );
    expect(uids[0]).toEqual([0, process.getuid?.(), 1]);
    expect(gids[0]).toEqual([0, process.getgid?.(), 1]);
    expect(uids.length).toBeGreaterThan(1);
    expect(readFileSync('/etc/subuid', 'utf8')).toContain(`:${uids[1]?.[1]}:`);
  });

  testIf('userns', 'busybox')(
    'files of a root file system belong to root inside, and new ones to us outside',
    async () => {
      const rootfs = busyboxRoot();
      try {
        writeFileSync(join(rootfs.path, 'etc/mine'), 'x');
        const { stdout } = await run({
          rootfs: rootfs.path,
          command: ['sh', '-c', 'stat -c %u:%g /etc/mine /; echo y > /etc/new; stat -c %u:%g /etc/new'],
        });
        expect(stdout).toBe('0:0\n0:0\n0:0\n');
        const made = statSync(join(rootfs.path, 'etc/new'));
        expect([made.uid, made.gid]).toEqual([process.getuid?.(), process.getgid?.()]);
        expect(readdirSync(join(rootfs.path, 'dev'))).toEqual([]);
        expect(readdirSync(join(rootfs.path, 'proc'))).toEqual([]);
      } finally {
        rootfs.remove();
      }
    },
  );
});

describe('the process', () => {
  test('its environment is what was given, and no more', async () => {
    process.env['RUNTS_SECRET'] = 'x';
    const { stdout } = await run({
      host: true,
      command: ['env'],
      env: { A: '1', EMPTY: '', PATH: '/usr/bin' },
      hostname: 'h',
    });
    delete process.env['RUNTS_SECRET'];
    expect(lines(stdout).sort()).toEqual(['A=1', 'EMPTY=', 'HOME=/root', 'HOSTNAME=h', 'PATH=/usr/bin']);
  });

  test('its working directory is / or what was asked, and is made where it is missing', async () => {
    expect(await inside('pwd')).toBe('/\n');
    expect(await inside('pwd; ls -A', { cwd: '/srv/new/place' })).toBe('/srv/new/place\n');
  });

  test('its umask is 022, its signals are unblocked and at their defaults', async () => {
    expect(await inside('umask')).toBe('0022\n');
    const { stdout } = await run({ host: true, command: ['cat', '/proc/self/status'] });
    const none = '0000000000000000';
    expect(fields(stdout)).toMatchObject({ SigBlk: none, SigIgn: none, ShdPnd: none });
    const direct = await run({ host: true, command: ['cat', '/proc/self/status'], init: false });
    expect(fields(direct.stdout)).toMatchObject({ SigBlk: none, SigIgn: none, NSpid: expect.stringMatching(/^1$/) });
  });

  test('it leads a session and a process group of its own', async () => {
    const stat = await inside('cut -d" " -f1,5,6 /proc/$$/stat');
    const [pid, group, session] = stat.trim().split(' ');
    expect([group, session]).toEqual([pid, pid]);
  });

  test('it is found by PATH of the container, and its arguments are passed on as they are', async () => {
    const odd = ['a b', '', '$HOME', '"', "'", '*', 'ä\u0001'];
    const { stdout } = await run({ host: true, command: ['printf', '%s|', ...odd] });
    expect(stdout).toBe(odd.map((word) => `${word}|`).join(''));
  });
});

/** What system calls say inside, by name: asked by number, so that no library is between. */
async function syscalls(
  calls: Readonly<Record<string, readonly number[]>>,
  options = {},
): Promise<Record<string, string>> {
  const numbers = syscallNumbers(process.arch === 'arm64' ? 'arm64' : 'x64');
  const asked = Object.entries(calls).map(([name, args]) => [name, numbers.get(name), ...args]);
  const program = `
import ctypes, errno, json, sys
libc = ctypes.CDLL(None, use_errno=True)
answers = {}
for name, number, *args in json.loads(sys.argv[1]):
    ctypes.set_errno(0)
    result = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(arg) for arg in args])
    answers[name] = errno.errorcode[ctypes.get_errno()] if result < 0 else 'fine'
print(json.dumps(answers))`;
  const { stdout } = await run({ host: true, command: ['python3', '-c', program, JSON.stringify(asked)], ...options });
  return JSON.parse(stdout);
}
