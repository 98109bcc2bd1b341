import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cgroup2Root } from '../support/requires.ts';
import { temporaryDirectory } from '../support/rootfs.ts';

const project = fileURLToPath(new URL('../..', import.meta.url));
/** What is tested; another runtime's path shows whether a test asks for more than this machine can do. */
const otherRuntime = process.env['RUNTS_PEER_RUNTIME'];
/** The project, where every user of the world finds it. */
const projectInside = '/run/project';
export const runtime = otherRuntime ?? `${projectInside}/bin/runts.js`;
export const isRunts = otherRuntime === undefined;

export interface User {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

/** An ordinary user with subordinate ids, for what peers do without root. */
export function userWithSubordinateIds(): User | undefined {
  for (const line of readFileSync('/etc/subuid', 'utf8').split('\n')) {
    const found = spawnSync('getent', ['passwd', line.split(':')[0] ?? ''], { encoding: 'utf8' });
    const [name, , uid, gid] = found.stdout.split(':');
    if (found.status === 0 && uid !== '0') return { name: String(name), uid: Number(uid), gid: Number(gid) };
  }
  return undefined;
}

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly input?: string;
  readonly env?: Readonly<Record<string, string>>;
}

const runMs = 60_000;

/**
 * A world of its own for a peer: process ids, mounts, cgroups (a v2 hierarchy at /sys/fs/cgroup, as peers want it) and
 * /run, all gone when it closes. Peers keep state in many places and leave processes behind: here that stays inside.
 */
export class World {
  readonly directory = temporaryDirectory();
  readonly path = this.directory.path;
  readonly user: User | undefined;
  readonly #cgroup: string;
  readonly #outer: ChildProcess;
  readonly #init: string;

  private constructor(user: User | undefined, cgroup: string, outer: ChildProcess, init: string) {
    this.user = user;
    this.#cgroup = cgroup;
    this.#outer = outer;
    this.#init = init;
    chmodSync(this.path, 0o755);
    for (const name of ['home', 'xdg']) {
      mkdirSync(join(this.path, name), { mode: 0o700 });
      if (user !== undefined) chownSync(join(this.path, name), user.uid, user.gid);
    }
    if (user !== undefined) chownSync(this.path, user.uid, user.gid);
  }

  static async open(user?: User): Promise<World> {
    const cgroup = join(String(cgroup2Root), `runts-peers-${process.pid}`);
    mkdirSync(join(cgroup, 'peers'), { recursive: true });
    const flags = ['--mount', '--cgroup', '--pid', '--fork', '--kill-child', '--mount-proc'];
    // It dies with this process. The root of the cgroup namespace is where the process that makes it is: there, then out
    // of the way of controllers.
    const make = `echo 0 > ${cgroup}/cgroup.procs; exec setpriv --pdeathsig KILL unshare ${flags.join(' ')} --propagation private sh -c "$1" sh ${cgroup}`;
    const outer = spawn('sh', ['-c', make, 'sh', setUp], { stdio: ['ignore', 'pipe', 'inherit'] });
    await new Promise<void>((resolve, reject) => {
      outer.stdout?.once('data', () => resolve());
      outer.once('exit', () => reject(new Error('the world of the peers could not be made')));
    });
    const init = readFileSync(`/proc/${outer.pid}/task/${outer.pid}/children`, 'utf8').trim();
    writeFileSync(join(String(cgroup2Root), 'cgroup.procs'), String(outer.pid));
    return new World(user, cgroup, outer, init);
  }

  /** Runs a command in the world to its end, as its user. */
  run(args: readonly string[], { input = '', env = {} }: RunOptions = {}): Ended {
    const { user, path } = this;
    const who = user === undefined ? [] : ['setpriv', `--reuid=${user.uid}`, `--regid=${user.gid}`, '--init-groups'];
    const variables = {
      PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      HOME: join(path, 'home'),
      USER: user?.name ?? 'root',
      TMPDIR: path,
      XDG_RUNTIME_DIR: join(path, 'xdg'),
      TERM: 'xterm',
      SHELL: '/bin/sh',
      ...env,
    };
    const settings = Object.entries(variables).map(([name, value]) => `${name}=${value}`);
    const enter = 'echo 0 > /sys/fs/cgroup/peers/cgroup.procs; cd "$1"; shift; exec "$@"';
    const inside = ['sh', '-c', enter, 'sh', path, ...who, 'env', '-i', ...settings, ...args];
    const ended = spawnSync('nsenter', ['-t', this.#init, '-m', '-p', '-C', '--', ...inside], {
      input,
      encoding: 'utf8',
      timeout: runMs,
      killSignal: 'SIGKILL',
    });
    return { code: ended.status, stdout: ended.stdout, stderr: ended.stderr };
  }

  /** The same in a terminal; what it shows is the standard output. */
  runInTerminal(args: readonly string[], options: RunOptions = {}): Ended {
    const line = args.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(' ');
    // A pipe that has no end, so that script(1) sends no end of input either.
    const endless = 'mkfifo "$TMPDIR/in.$$"; script -qec "$1" /dev/null 0<> "$TMPDIR/in.$$"';
    const ended = this.run(['sh', '-c', endless, 'sh', `stty cols 91 rows 27; ${line}`], options);
    return { ...ended, stdout: ended.stdout.replaceAll('\r', '') };
  }

  /** The mounts, cgroups and processes that there are: to be the same before and after. */
  inventory() {
    const list = (script: string) => this.run(['sh', '-c', script]).stdout.trim().split('\n').sort();
    return {
      mounts: list(`cut -d' ' -f5 /proc/self/mountinfo`),
      cgroups: list('find /sys/fs/cgroup -mindepth 1 -type d'),
      // Not those that look: what this very command is made of.
      processes: list(`ps -eo comm= | grep -vxE 'sh|ps|grep|sleep|nsenter'`).filter((name) => name !== ''),
    };
  }

  close(): void {
    this.#outer.kill('SIGKILL');
    writeFileSync(join(this.#cgroup, 'cgroup.kill'), '1');
    removeCgroup(this.#cgroup);
    this.directory.remove();
  }
}

/** What process 1 of the world does first; then it reaps. `$1` is the cgroup. */
const setUp = `
set -e
umount -R /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
echo 0 > /sys/fs/cgroup/peers/cgroup.procs
mount --bind ${JSON.stringify(project)} /mnt
mount -t tmpfs -o mode=755 tmpfs /run
mkdir ${projectInside}
mount --move /mnt ${projectInside}
echo ready
while sleep 1; do :; done
`;

/** Killed processes leave their cgroup in a moment. */
function removeCgroup(path: string): void {
  const deadline = Date.now() + 5000;
  for (const entry of readdirSync(path, { withFileTypes: true }))
    if (entry.isDirectory()) removeCgroup(join(path, entry.name));
  while (existsSync(path)) {
    try {
      rmdirSync(path);
    } catch (error) {
      if (Date.now() > deadline) throw new Error(`${basename(path)} is still in use`, { cause: error });
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
    }
  }
}
