import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

const inside = 'RUNTS_BENCH_PLAIN_CGROUPS';

/**
 * crun refuses hosts with cgroups of both versions, and Docker's defaults mean another thing there: as root we measure in a
 * mount namespace that shows version 2 alone. `as`: there, as this user. Gives the exit code, or undefined to go on here.
 */
export function inPlainCgroups(as: string | undefined): number | undefined {
  const hybrid = /^\S+ \/sys\/fs\/cgroup\/\S+ cgroup /m.test(readFileSync('/proc/mounts', 'utf8'));
  if (process.env[inside] !== undefined || process.getuid!() !== 0 || (!hybrid && as === undefined)) return undefined;
  const script = hybrid ? 'umount -R /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup && exec "$@"' : 'exec "$@"';
  const user = as === undefined ? [] : ['runuser', '-u', as, '--'];
  const self = [process.execPath, ...process.execArgv, ...process.argv.slice(1)];
  const home = as === undefined ? [] : ['env', '-u', 'XDG_RUNTIME_DIR', `HOME=${homeOf(as)}`];
  const { status } = spawnSync('unshare', ['--mount', 'sh', '-c', script, 'sh', ...user, ...home, ...self], {
    stdio: 'inherit',
    env: { ...process.env, [inside]: '1' },
  });
  return status ?? 1;
}

function homeOf(user: string): string {
  const line = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .find((each) => each.startsWith(`${user}:`));
  if (line === undefined) throw new Error(`there is no user ${user}`);
  return line.split(':')[5]!;
}
