import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, mkdirSync, openSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { command, type Ended, type Options, startRunts } from '../cli/runts.ts';
import { patience, patienceMs } from '../support/requires.ts';
import { busyboxRoot, type TemporaryDirectory, temporaryDirectory } from '../support/rootfs.ts';

// biome-ignore lint/suspicious/noExplicitAny: a document that tests change at will.
export type Config = any;

const paths = (names: string) => names.split(' ').map((name) => `/proc/${name}`);

/** A configuration as `runts spec` makes it, for a command without a terminal. */
function configuration(root: string, args: readonly string[]): Config {
  const rootless = process.getuid?.() !== 0;
  const namespaces = ['pid', 'network', 'ipc', 'uts', 'mount', 'cgroup', ...(rootless ? ['user'] : [])];
  const capabilities = ['CAP_AUDIT_WRITE', 'CAP_KILL', 'CAP_NET_BIND_SERVICE'];
  return {
    ociVersion: '1.3.0',
    process: {
      args,
      cwd: '/',
      env: ['PATH=/bin', 'TERM=xterm'],
      user: { uid: 0, gid: 0 },
      capabilities: { bounding: capabilities, effective: capabilities, permitted: capabilities },
      noNewPrivileges: true,
    },
    root: { path: root, readonly: false },
    hostname: 'runts',
    mounts: [
      { destination: '/proc', type: 'proc', source: 'proc' },
      { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'mode=755', 'size=65536k'] },
      {
        destination: '/dev/pts',
        type: 'devpts',
        source: 'devpts',
        options: ['newinstance', 'ptmxmode=0666', 'mode=0620'],
      },
      {
        destination: '/dev/shm',
        type: 'tmpfs',
        source: 'shm',
        options: ['nosuid', 'nodev', 'mode=1777', 'size=65536k'],
      },
    ],
    linux: {
      namespaces: namespaces.map((type) => ({ type })),
      maskedPaths: paths('kcore keys timer_list'),
      readonlyPaths: paths('bus fs irq sys sysrq-trigger'),
    },
  };
}

/** A place for bundles and for the state of the containers made of them. */
export class Place {
  readonly directory: TemporaryDirectory = temporaryDirectory();
  readonly rootfs: TemporaryDirectory = busyboxRoot();
  readonly root = `${this.directory.path}/state`;
  #bundles = 0;
  #runs = 0;

  /** A bundle that runs a command, or a line of shell; `change` edits its configuration. */
  bundle(command: string | readonly string[], change: (config: Config) => void = () => {}): string {
    const path = `${this.directory.path}/bundle${++this.#bundles}`;
    mkdirSync(path);
    const args = typeof command === 'string' ? ['sh', '-c', command] : command;
    const config = configuration(this.rootfs.path, args);
    change(config);
    writeFileSync(`${path}/config.json`, JSON.stringify(config));
    return path;
  }

  /** Runs the command line to its end. Its output goes to files: a container that lives on would keep pipes open. */
  async runts(args: readonly string[], { input = '', cwd, env }: Options = {}): Promise<Ended> {
    const at = `${this.directory.path}/output${++this.#runs}`;
    const [stdout, stderr] = [openSync(`${at}.out`, 'wx'), openSync(`${at}.err`, 'wx')];
    try {
      const child = spawn(command[0], [...command.slice(1), '--root', this.root, ...args], {
        cwd,
        env: { ...process.env, ...env },
        stdio: ['pipe', stdout, stderr],
      });
      child.stdin?.on('error', () => {});
      child.stdin?.end(input);
      const [code, signal] = await once(child, 'exit');
      return { code, signal, stdout: readFileSync(`${at}.out`, 'utf8'), stderr: readFileSync(`${at}.err`, 'utf8') };
    } finally {
      closeSync(stdout);
      closeSync(stderr);
    }
  }

  start(args: readonly string[], options?: Omit<Options, 'input'>) {
    return startRunts(['--root', this.root, ...args], options);
  }

  /** The same, where a failure is the test's. */
  async ok(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.runts(args);
    if (code !== 0) throw new Error(`runts ${args.join(' ')}: exit code ${code}: ${stderr}`);
    return stdout;
  }

  async state(id: string): Promise<Config> {
    return JSON.parse(await this.ok('state', id));
  }

  async status(id: string): Promise<string> {
    return (await this.state(id)).status;
  }

  async until(id: string, status: string): Promise<void> {
    await eventually(async () => (await this.status(id)) === status, `${id} to be ${status}`);
  }

  /** What is left below the state directory. */
  left(): string[] {
    return existsSync(this.root) ? readdirSync(this.root).filter((name) => !name.startsWith('.')) : [];
  }

  /** Removes every container, then the files. */
  async remove(): Promise<void> {
    for (const id of this.left()) await this.runts(['delete', '--force', id]);
    this.directory.remove();
    this.rootfs.remove();
  }
}

export async function eventually(holds: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const end = Date.now() + patienceMs;
  while (!(await holds())) {
    if (Date.now() > end) throw new Error(`waited ${patienceMs} ms for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20 * patience));
  }
}

/** Whether there is a process of this number that is not only waiting to be collected. */
export function isAlive(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) [ZX] /s.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

/** The processes, ours or not, that have a word among their arguments. */
export function processesWith(word: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => isAlive(pid) && argumentsOf(pid).includes(word));
}

function argumentsOf(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
  } catch {
    return [];
  }
}
