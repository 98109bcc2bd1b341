import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, readFileSync } from 'node:fs';
import { test } from 'vitest';

/** What a test may need of the machine: true, or why it is not there. */
const features = {
  root: () => process.getuid?.() === 0 || 'needs root',
  CAP_SYS_RESOURCE: () => hasCapability(24) || 'needs CAP_SYS_RESOURCE',
  'ordinary user': () => process.getuid?.() !== 0 || 'is for an ordinary user',
  userns: () => unshares('--user') || 'user namespaces cannot be made here',
  cgroup2: () => canMakeCgroups() || 'needs a cgroup v2 hierarchy in which we may make cgroups',
  vm: () => process.env['RUNTS_VM'] === '1' || 'is for the virtual machine: npm run test:vm',
  subuids: () =>
    (existsSync('/usr/bin/newuidmap') && hasSubordinateIds()) || 'needs newuidmap and an entry in /etc/subuid',
  libseccomp: () => existsSync('/usr/include/seccomp.h') || 'needs libseccomp-dev and a C compiler',
  skopeo: () => runs('skopeo') || 'needs skopeo',
  umoci: () => runs('umoci') || 'needs umoci',
  busybox: () => existsSync('/bin/busybox') || 'needs busybox-static',
  script: () => runs('script') || 'needs script (bsdutils)',
} as const;
export type Feature = keyof typeof features;

function hasCapability(bit: number): boolean {
  const set = /^CapEff:\s*([0-9a-f]+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0';
  return ((BigInt(`0x${set}`) >> BigInt(bit)) & 1n) === 1n;
}

function runs(program: string): boolean {
  return spawnSync(program, ['--version'], { stdio: 'ignore' }).error === undefined;
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
  const unavailable = (name: string, ..._rest: unknown[]): void => {
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
