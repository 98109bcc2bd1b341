import { spawn, spawnSync } from 'node:child_process';
import { closeSync, existsSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { maskedPaths } from '../lib/spec/defaults.js';
import type { Bundle } from './bundle.ts';

/** Another tool that can make the container. */
export interface Peer {
  readonly name: string;
  /** Why it cannot, here. */
  readonly missing: string | undefined;
  /** Takes part in one of so many rounds. */
  readonly every: number;
  /** A file that it wants as descriptor 3. */
  readonly filter?: string;
  /** The command line that makes a container of the bundle and waits for its end. */
  readonly command: (bundle?: string) => readonly string[];
  /** The command line of another command in a running container, where there is such a thing. */
  readonly exec?: (id: string, command: readonly string[]) => readonly string[];
  /** The command line of a container that stays. */
  readonly stay?: (id: string) => readonly string[];
  readonly remove?: (id: string) => readonly string[];
}

/** The peers, each tried once: it may be missing, or unable to do this here. */
export function findPeers(scratch: string, bundle: Bundle): Peer[] {
  const peers = [
    bwrap(bundle),
    oci('crun', ['--cgroup-manager=disabled'], scratch, bundle),
    oci('runc', [], scratch, bundle),
  ];
  return [...peers, podman(bundle)].map((peer) => ({ ...peer, missing: whyNot(peer) }));
}

type Untried = Omit<Peer, 'missing'>;

let made = 0;
/** An id that no other run has. */
export const newId = (): string => `runts-bench-${process.pid}-${made++}`;

function oci(name: string, options: readonly string[], scratch: string, { directory, idle }: Bundle): Untried {
  const tool = [name, '--root', join(scratch, name), ...options];
  return {
    name,
    every: 1,
    command: (bundle = directory) => [...tool, 'run', '-b', bundle, newId()],
    stay: (id) => [...tool, 'run', '-d', '-b', idle, id],
    exec: (id, command) => [...tool, 'exec', id, ...command],
    remove: (id) => [...tool, 'delete', '--force', id],
  };
}

/** The same container, as far as its options go: no paths of /proc that are read-only, and no sysfs of its own. */
function bwrap({ rootfs, filter }: Bundle): Untried {
  const user = process.getuid!() === 0 ? [] : ['--unshare-user', '--uid', '0', '--gid', '0'];
  const namespaces = ['--unshare-ipc', '--unshare-pid', '--unshare-net', '--unshare-uts', '--unshare-cgroup-try'];
  const mounts = ['--bind', rootfs, '/', '--proc', '/proc', '--dev', '/dev', '--mqueue', '/dev/mqueue'];
  // A place that is not there cannot be covered.
  const secret = maskedPaths.filter((path) => /^\/proc\/(k|timer)/.test(path) && existsSync(path));
  const masks = secret.flatMap((path) => ['--ro-bind', '/dev/null', path]);
  const last = ['--hostname', 'bench', '--new-session', '--die-with-parent', '--as-pid-1', '--seccomp', '3'];
  const words = ['bwrap', ...user, ...namespaces, ...mounts, ...masks, ...last, '/bin/true'];
  return { name: 'bwrap', every: 1, filter, command: () => words };
}

/** An engine, for the proportion: it has a state of its own to keep. */
function podman({ rootfs }: Bundle): Untried {
  const options = [
    '--rm',
    '--network=none',
    '--cgroups=disabled',
    '--log-driver=none',
    '--ulimit=nofile=1024:1024',
    '--ulimit=nproc=1024:1024',
  ];
  return { name: 'podman', every: 10, command: () => ['podman', 'run', ...options, '--rootfs', rootfs, '/bin/true'] };
}

function whyNot({ command, filter }: Untried): string | undefined {
  const [file, ...args] = command();
  const fd = filter === undefined ? 'ignore' : openSync(filter, 'r');
  const { status, error, stderr } = spawnSync(file!, args, {
    stdio: ['ignore', 'ignore', 'pipe', fd],
    timeout: 30_000,
  });
  if (typeof fd === 'number') closeSync(fd);
  if (error !== undefined) return 'code' in error && error.code === 'ENOENT' ? 'not installed' : error.message;
  return status === 0 ? undefined : `cannot run here: ${stderr.toString().trim().split('\n')[0]}`;
}

const nowhere = openSync('/dev/null', 'r+');

/** As a Node program does it: spawned, and heard of when it has ended. */
export function spawned([file, ...args]: readonly string[], filter?: string): Promise<void> {
  // From its beginning each time.
  const fd = filter === undefined ? nowhere : openSync(filter, 'r');
  return new Promise((resolve, reject) => {
    const child = spawn(file!, args, { stdio: [nowhere, nowhere, nowhere, fd] });
    if (fd !== nowhere) closeSync(fd);
    child.once('error', reject);
    child.once('exit', (code) => {
      if (code === 0) resolve();
      else reject(new Error(`${file} ${args.join(' ')} exited with ${code}`));
    });
  });
}
