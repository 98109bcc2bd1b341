import { spawnSync } from 'node:child_process';
import { dirname } from 'node:path';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { bin, type Ended, command as program } from '../cli/runts.ts';
import { testIf } from '../support/requires.ts';
import { type Config, Place } from './oci.ts';

/** A runtime in somebody else's container: what it may not do there it does in another way, or says what it takes. */
const test = testIf('userns', 'busybox', 'ordinary user');
const project = bin.slice(0, bin.indexOf('/bin/runts.js'));

let place: Place;
let inside: Place;
let containers = 0;

beforeAll(() => {
  place = new Place();
  inside = new Place();
});
afterAll(async () => {
  await inside.remove();
  await place.remove();
});

const command = (bundle: string) => [
  ...[...program, '--root', inside.root, 'run', '--bundle', bundle],
  `nested${++containers}`,
];

/** What this machine has of programs, this project, and the command line where it is a program of its own. */
const needed = ['/usr', '/bin', '/lib', '/lib64', '/etc', project, dirname(program[0])];

/** Runs a bundle, or anything, by a command line that is itself the command of a container. */
async function inContainer(asked: string | readonly string[], around: (config: Config) => void): Promise<Ended> {
  const outer = place.bundle(typeof asked === 'string' ? command(asked) : asked, (config) => {
    // As where a runtime is let do its work: that is, with the rights of root there.
    const sets = ['bounding', 'effective', 'permitted'];
    config.process.capabilities = Object.fromEntries(sets.map((set) => [set, everyCapability]));
    config.process.noNewPrivileges = false;
    for (const path of [...needed, inside.directory.path, inside.rootfs.path])
      config.mounts.push({ destination: path, type: 'bind', source: path, options: ['rbind'] });
    around(config);
  });
  return place.runts(['run', '--bundle', outer, `around${++containers}`]);
}

const everyCapability = [
  'CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE SYS_CHROOT MKNOD SETFCAP SYS_ADMIN',
]
  .join(' ')
  .split(' ')
  .map((name) => `CAP_${name}`);

function whole({ linux }: Config): void {
  linux.maskedPaths = [];
  linux.readonlyPaths = [];
}

const denied = (errno: number, ...names: string[]) => ({
  defaultAction: 'SCMP_ACT_ALLOW',
  syscalls: [{ names, action: 'SCMP_ACT_ERRNO', errnoRet: errno }],
});

/** A line in which `runts` is the command line, by root of a new user namespace. */
function unshared(line: string, bundle: string): Ended {
  const script = `runts() { exec ${command(bundle).join(' ')}; }; ${line}`;
  const { status, stdout, stderr } = spawnSync('unshare', ['-Urm', 'sh', '-ec', script], { encoding: 'utf8' });
  return { code: status, signal: null, stdout, stderr };
}

describe('as root of a user namespace', () => {
  test('a container has one below it', () => {
    const bundle = inside.bundle('cat /proc/self/uid_map; id -u');
    expect(unshared('runts', bundle)).toMatchObject({ code: 0, stdout: expect.stringMatching(/^ +0 +0 +1\n0\n$/) });
  });

  test('a container whose configuration has none has that of its maker, who may set no groups', () => {
    const bundle = inside.bundle('readlink /proc/self/ns/user; id -u', ({ linux }) => {
      linux.namespaces = linux.namespaces.filter(({ type }: { type: string }) => type !== 'user');
    });
    const { code, stdout, stderr } = unshared('readlink /proc/self/ns/user; runts', bundle);
    const [outside, own, uid] = stdout.split('\n');
    expect({ code, uid, own }, stderr).toEqual({ code: 0, uid: '0', own: outside });
  });

  test('a limit on user namespaces is named', () => {
    const ended = unshared('echo 0 > /proc/sys/user/max_user_namespaces; runts', inside.bundle('true'));
    expect(ended).toMatchObject({ code: 1, stderr: expect.stringMatching(/ENOSPC.*user\.max_user_namespaces/) });
  });
});

describe('in a container', () => {
  test('that hides parts of /proc, what is hidden is named', async () => {
    const { code, stderr } = await inContainer(inside.bundle('true'), () => {});
    expect(code).toBe(1);
    expect(stderr).toMatch(/cannot mount proc on \/proc: EPERM.*partly hidden by what is mounted on .*\/proc\/keys/);
    expect(stderr).toContain('systempaths=unconfined');
  });

  test('that hides parts of /proc, the doctor says so beforehand', async () => {
    const { stdout, stderr } = await inContainer([...program, 'doctor'], () => {});
    expect(stdout, stderr).toMatch(/proc in a pid namespace.*\n?.*EPERM/);
    expect(stdout).toMatch(/partly hidden by what is mounted on .*\/proc\/keys/);
  });

  test('that shows all of /proc, another one runs', async () => {
    const found = await inContainer(inside.bundle('echo $$; id -u; hostname'), whole);
    expect(found, found.stderr).toMatchObject({ code: 0, stdout: '1\n0\nrunts\n' });
  });

  test('whose pid namespace it shares, another one runs beside a /proc that is hidden in parts', async () => {
    const bundle = inside.bundle('id -u', ({ linux }) => {
      linux.namespaces = linux.namespaces.filter(({ type }: { type: string }) => type !== 'pid');
      linux.maskedPaths = [];
    });
    const found = await inContainer(bundle, () => {});
    expect(found, found.stderr).toMatchObject({ code: 0, stdout: '0\n' });
  });

  test('whose filter has no clone3, no keyrings and no memory policies, another one runs', async () => {
    const found = await inContainer(inside.bundle('id -u'), (config) => {
      whole(config);
      config.linux.seccomp = denied(38, 'clone3', 'keyctl', 'add_key', 'bpf', 'set_mempolicy');
    });
    expect(found, found.stderr).toMatchObject({ code: 0, stdout: '0\n' });
  });

  test('whose filter refuses namespaces, it is named', async () => {
    const { code, stderr } = await inContainer(inside.bundle('true'), (config) => {
      whole(config);
      config.linux.seccomp = {
        defaultAction: 'SCMP_ACT_ALLOW',
        syscalls: [
          { names: ['clone3'], action: 'SCMP_ACT_ERRNO', errnoRet: 38 },
          {
            names: ['clone', 'unshare'],
            action: 'SCMP_ACT_ERRNO',
            args: [{ index: 0, value: 0x1000_0000, valueTwo: 0x1000_0000, op: 'SCMP_CMP_MASKED_EQ' }],
          },
        ],
      };
    });
    expect(code).toBe(1);
    expect(stderr).toMatch(/EPERM.*the seccomp profile of the container that you are in/);
  });

  test.each([
    ['the mount calls of Linux 5.2', 38, ['fsopen', 'open_tree', 'move_mount', 'fsmount']],
    ['mount_setattr', 38, ['mount_setattr']],
    ['openat2', 38, ['openat2']],
  ])('whose filter has not %s, that is named', async (_, errno, names) => {
    const { code, stderr } = await inContainer(inside.bundle('true'), (config) => {
      whole(config);
      config.linux.seccomp = denied(errno as number, ...(names as string[]));
    });
    expect(code).toBe(1);
    expect(stderr).toMatch(/ENOSYS.*seccomp/);
  });
});
