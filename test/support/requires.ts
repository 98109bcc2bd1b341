import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, readFileSync, statSync } from 'node:fs';
import { test } from 'vitest';

/** What a test may need of the machine: true, or why it is not there. */
const features = {
  root: () => process.getuid?.() === 0 || 'needs root',
  CAP_SYS_RESOURCE: () => hasCapability(24) || 'needs CAP_SYS_RESOURCE',
  'ordinary user': () => process.getuid?.() !== 0 || 'is for an ordinary user',
  userns: () => unshares('--user') || 'user namespaces cannot be made here',
  cgroup2: () => canMakeCgroups() || 'needs a cgroup v2 hierarchy in which we may make cgroups',
  subuids: () =>
    (existsSync('/usr/bin/newuidmap') && hasSubordinateIds()) || 'needs newuidmap and an entry in /etc/subuid',
  libseccomp: () => existsSync('/usr/include/seccomp.h') || 'needs libseccomp-dev and a C compiler',
  cc: () => runs('cc') || 'needs a C compiler',
  git: () => runs('git') || 'needs git',
  skopeo: () => runs('skopeo') || 'needs skopeo',
  attr: () => runs('setfattr') || 'needs attr',
  zstd: () => runs('zstd') || 'needs zstd',
  umoci: () => runs('umoci') || 'needs umoci',
  podman: () => runs('podman') || 'needs podman',
  fuse: () =>
    (runs('fuse-overlayfs') && existsSync('/dev/fuse') && (statSync('/dev/fuse').mode & 0o6) === 0o6) ||
    'needs fuse-overlayfs, and a /dev/fuse that everybody may use',
  '/dev/fuse': () =>
    (existsSync('/dev/fuse') && (statSync('/dev/fuse').mode & 0o6) === 0o6) ||
    'needs a /dev/fuse that everybody may use',
  buildah: () => runs('buildah') || 'needs buildah',
  'docker-registry': () => runs('docker-registry') || 'needs docker-registry',
  openssl: () => runs('openssl') || 'needs openssl',
  htpasswd: () => runs('htpasswd') || 'needs htpasswd (apache2-utils)',
  dockerd: () => (runs('dockerd') && runs('docker')) || 'needs docker.io',
  rclone: () =>
    (runs('rclone') && existsSync('/dev/fuse') && runs('fusermount3')) || 'needs rclone, fuse3 and /dev/fuse',
  containerd: () => (runs('containerd') && runs('ctr')) || 'needs containerd',
  busybox: () => existsSync('/bin/busybox') || 'needs busybox-static',
  'cgroup2:cpu': () => hasController('cpu'),
  'cgroup2:cpuset': () => hasController('cpuset'),
  'cgroup2:io': () => hasController('io'),
  'cgroup2:memory': () => hasController('memory'),
  'cgroup2:pids': () => hasController('pids'),
  systemd: () => existsSync('/run/systemd/system') || 'systemd is not process 1 here',
  vm: () => process.env['RUNTS_VM'] !== undefined || 'runs in a machine of its own: npm run test:vm',
  strace: () => runs('strace') || 'needs strace',
  script: () => runs('script') || 'needs script (bsdutils)',
  netdevices: () => makesDevices() || 'needs ip (iproute2), and a kernel with veth devices',
  memfd_noexec: () => existsSync('/proc/sys/vm/memfd_noexec') || 'needs vm.memfd_noexec (Linux 6.3)',
  tiny: () => existsSync('build/tiny/runts') || 'needs the static runts: npm run build:tiny',
  slow: () => process.env['RUNTS_SLOW'] !== undefined || 'takes long: set RUNTS_SLOW',
  numa: () => existsSync('/proc/self/numa_maps') || 'needs a kernel with NUMA',
} as const;
/** How many times longer things may take: in the virtual machine, code that Node compiles is several times slower. */
export const patience = process.env['RUNTS_VM'] === undefined ? 1 : 10;

/** How long a test waits for what must come, before it says that it did not: less than the time that a test has. */
export const patienceMs = patience === 1 ? 20_000 : 150_000;

export type Feature = keyof typeof features;

function hasCapability(bit: number): boolean {
  const set = /^CapEff:\s*([0-9a-f]+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0';
  return ((BigInt(`0x${set}`) >> BigInt(bit)) & 1n) === 1n;
}

function runs(program: string): boolean {
  return spawnSync(program, ['--version'], { stdio: 'ignore' }).error === undefined;
}

function makesDevices(): boolean {
  const make = ['--net', 'ip', 'link', 'add', 'v0', 'type', 'veth', 'peer', 'name', 'v1'];
  return spawnSync('unshare', make, { stdio: 'ignore' }).status === 0;
}

/** Whether limits of a controller can be set by us: it is in our cgroup, which is ours to make others in. */
function hasController(name: string): true | string {
  try {
    const own = /^0::(.*)$/m.exec(readFileSync('/proc/self/cgroup', 'utf8'))?.[1] ?? '';
    const directory = `/sys/fs/cgroup${own}`;
    if (!readFileSync(`${directory}/cgroup.controllers`, 'utf8').trim().split(' ').includes(name))
      return `the cgroup ${own} has no ${name} controller`;
    accessSync(directory, constants.W_OK);
    return true;
  } catch (error) {
    return `needs a delegated cgroup v2: ${(error as Error).message}`;
  }
}

function unshares(flag: string): boolean {
  return spawnSync('unshare', [flag, 'true'], { stdio: 'ignore' }).status === 0;
}

/** The v2 hierarchy itself, or beside those of v1. */
export const cgroup2Root = ['/sys/fs/cgroup/unified', '/sys/fs/cgroup'].find((path) =>
  existsSync(`${path}/cgroup.procs`),
);

function canMakeCgroups(): boolean {
  if (cgroup2Root === undefined) return false;
  try {
    accessSync(cgroup2Root, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

function hasSubordinateIds(): boolean {
  const found = spawnSync('sh', ['-c', 'grep -q "^$(id -un):" /etc/subuid && grep -q "^$(id -un):" /etc/subgid']);
  return found.status === 0;
}

const known = new Map<Feature, true | string>();

/** Whether this machine has a feature, or why not. */
export function can(feature: Feature): true | string {
  let answer = known.get(feature);
  if (answer === undefined) {
    answer = features[feature]();
    known.set(feature, answer);
  }
  return answer;
}

/**
 * A `test` that needs features: where one is missing it skips and says why in its name. `RUNTS_MUST_WORK=userns,root`
 * names the features whose absence is a failure instead: what CI is known to have.
 */
export function testIf(...needed: Feature[]) {
  const missing = needed.map((feature) => [feature, can(feature)] as const).find(([, answer]) => answer !== true);
  if (missing === undefined) return test;
  const [feature, why] = missing;
  const mustWork = (process.env['RUNTS_MUST_WORK'] ?? '').split(',').includes(feature);
  // In the machine, where nothing may skip, what is for the other kind of user is no test of this run.
  const others = process.env['RUNTS_VM'] !== undefined && ['root', 'ordinary user'].includes(feature);
  const unavailable = (name: string, ..._rest: unknown[]): void => {
    if (others) return;
    if (mustWork) {
      test(name, () => {
        throw new Error(`RUNTS_MUST_WORK has ${feature}, but this machine has it not: ${why}`);
      });
    } else {
      test.skip(`${name} (${why})`, () => {});
    }
  };
  // `test.each(rows)(name, …)`: one line says it for all of them.
  return Object.assign(unavailable, { each: () => unavailable }) as unknown as typeof test;
}
