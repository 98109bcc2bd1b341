import { type ChildProcess, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { exampleSpec } from '../../lib/spec/example.ts';
import { programs, type User } from './traced.ts';

const busybox = '/bin/busybox';
const applets = ['sh', 'true', 'false', 'sleep', 'cat', 'echo'];
/** How long a command that nothing happens to may take. */
const patienceMs = 20_000;

export type Shape = 'plain' | 'userns' | 'terminal';

interface Answer {
  readonly code: number;
  readonly output: string;
  readonly errors: string;
}

/**
 * Where containers are made and broken: a directory with bundles, seen from pid and mount namespaces of its own, so that
 * every process and every mount that is not known is one that was left.
 */
export class Place {
  readonly path: string;
  readonly user: User;
  readonly id: string;
  readonly root: string;
  readonly pidFile: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly cgroup: string;
  #agent: ChildProcess | undefined;
  #errands = 0;
  #console: Server | undefined;

  constructor(path: string, user: User, name: string) {
    this.path = path;
    this.user = user;
    this.id = name;
    this.root = join(path, 'state');
    this.pidFile = join(path, 'pid');
    this.cgroup = `runts-faults-${name}`;
    this.environment = {
      PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
      HOME: join(path, 'home'),
      TMPDIR: join(path, 'tmp'),
      XDG_RUNTIME_DIR: join(path, 'run'),
    };
  }

  async make(): Promise<void> {
    for (const name of ['home', 'tmp', 'run', 'rootfs']) this.#directory(name);
    for (const name of ['bin', 'etc', 'proc', 'sys', 'dev', 'tmp', 'root']) this.#directory(join('rootfs', name));
    copyFileSync(busybox, join(this.path, 'rootfs/bin/busybox'));
    chmodSync(join(this.path, 'rootfs/bin/busybox'), 0o755);
    for (const name of applets) symlinkSync('busybox', join(this.path, 'rootfs/bin', name));
    for (const shape of ['plain', 'userns', 'terminal'] as const) {
      this.#bundle(shape, 'sleep', ['sleep', '1000']);
      this.#bundle(shape, 'true', ['true']);
    }
    writeFileSync(join(this.path, 'devices.json'), '{"devices":[{"allow":false,"access":"rwm"}]}');
    this.#console = createServer((socket) => socket.resume());
    this.#console.listen(this.consoleSocket);
    await once(this.#console, 'listening');
    chownSync(this.consoleSocket, this.user.uid, this.user.gid);
    this.#own(this.path);
  }

  bundle = (shape: Shape, command: 'sleep' | 'true') => join(this.path, `bundle-${shape}-${command}`);

  get consoleSocket(): string {
    return join(this.path, 'console.sock');
  }

  /** Runs a command line that nothing happens to, in the agent. */
  async errand(...args: string[]): Promise<Answer> {
    // What it made and others were to collect stays a zombie as long as it lives.
    if (++this.#errands % 300 === 0) await this.#dismiss();
    this.#agent ??= await this.#hire();
    const agent = this.#agent;
    const over = new AbortController();
    const answer = once(agent, 'message', { signal: over.signal }).then(([message]) => message as Answer);
    agent.send(['--root', this.root, ...args]);
    const failed = (errors: string): Answer => ({ code: -1, output: '', errors });
    const late = sleep(patienceMs, failed(`no end after ${patienceMs} ms`), { signal: over.signal, ref: false });
    const gone = once(agent, 'exit', { signal: over.signal }).then(() => failed('the agent ended'));
    const all = [answer, late, gone];
    const result = await Promise.race(all);
    over.abort();
    await Promise.allSettled(all);
    if (result.code < 0) await this.#dismiss();
    return result;
  }

  /** The arguments of the program that uses the library. */
  get library(): readonly string[] {
    return ['rootfs', 'library', 'library-state'].map((name) => join(this.path, name));
  }

  /** Runs a container by the library to which nothing happens; what went wrong. */
  async useLibrary(): Promise<string[]> {
    const child = spawn(process.execPath, [programs.library, ...this.library], {
      ...this.user,
      env: this.environment,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    const said = text(child.stderr);
    const [code] = await once(child, 'exit');
    return code === 0 ? [] : [`the library afterwards: ${code} ${await said}`];
  }

  /** What there is that nobody here knows of: processes, mounts, cgroups, files. */
  left(before: Here): string[] {
    const now = this.look();
    const news = (key: keyof Here) =>
      now[key].filter((each) => !before[key].includes(each)).map((each) => `${key}: ${each}`);
    return (Object.keys(now) as (keyof Here)[]).flatMap(news);
  }

  look(): Here {
    return {
      processes: this.#processes(),
      mounts: mounts(),
      cgroups: cgroupsNamed(this.cgroup),
      files: below(this.path).filter((path) => !path.startsWith(join(this.path, 'rootfs/')) && !this.#isOurs(path)),
    };
  }

  async close(): Promise<void> {
    await this.#dismiss();
    this.#console?.close();
  }

  /** The state directory itself stays, and so does what the harness writes. */
  #isOurs = (path: string) =>
    [this.root, join(this.path, 'report'), join(this.path, 'stdout'), join(this.path, 'stderr')].includes(path);

  #processes(): string[] {
    const known = [1, process.pid, this.#agent?.pid];
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name) && !known.includes(Number(name)))
      .flatMap((pid) => {
        const stat = textOf(`/proc/${pid}/stat`);
        const state = stat.slice(stat.lastIndexOf(')') + 2)[0];
        return state === undefined || 'ZX'.includes(state) ? [] : [`${pid} ${argumentsOf(pid)}`];
      });
  }

  async #hire(): Promise<ChildProcess> {
    const agent = fork(fileURLToPath(new URL('agent.js', import.meta.url)), {
      ...this.user,
      env: this.environment,
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    });
    await once(agent, 'message');
    return agent;
  }

  async #dismiss(): Promise<void> {
    const agent = this.#agent;
    this.#agent = undefined;
    if (agent === undefined || agent.exitCode !== null || agent.signalCode !== null) return;
    const ended = once(agent, 'exit');
    agent.kill('SIGKILL');
    await ended;
  }

  #directory(name: string): void {
    mkdirSync(join(this.path, name), { mode: 0o755 });
  }

  #bundle(shape: Shape, name: 'sleep' | 'true', args: readonly string[]): void {
    const directory = this.bundle(shape, name);
    mkdirSync(directory);
    writeFileSync(join(directory, 'config.json'), JSON.stringify(this.#configuration(shape, args)));
  }

  #configuration(shape: Shape, args: readonly string[]) {
    const spec = exampleSpec({
      hostname: 'faults',
      cgroupNamespace: false,
      rootless: this.user.uid === 0 ? undefined : this.user,
    });
    const { linux } = spec;
    const hook = { path: busybox, args: ['true'] };
    return {
      ...spec,
      root: { path: join(this.path, 'rootfs'), readonly: false },
      process: { ...spec.process, args, terminal: shape === 'terminal' },
      ...(shape === 'userns' && {
        hooks: { createRuntime: [hook], poststart: [hook], poststop: [hook], createContainer: [{ path: '/bin/true' }] },
      }),
      linux: {
        ...linux,
        ...(shape === 'userns' && this.user.uid === 0 && userNamespace(linux.namespaces)),
        // Two levels, so that a parent is made, too.
        ...(this.user.uid === 0 && { cgroupsPath: `/${this.cgroup}/${shape}` }),
      },
    };
  }

  #own(path: string): void {
    chownSync(path, this.user.uid, this.user.gid);
    for (const entry of readdirSync(path, { withFileTypes: true })) {
      const inside = join(path, entry.name);
      if (entry.isDirectory()) this.#own(inside);
      else if (entry.isFile()) chownSync(inside, this.user.uid, this.user.gid);
    }
  }
}

export interface Here {
  readonly processes: readonly string[];
  readonly mounts: readonly string[];
  readonly cgroups: readonly string[];
  readonly files: readonly string[];
}

function userNamespace(namespaces: readonly object[]) {
  const mapping = [{ containerID: 0, hostID: 100_000, size: 65_536 }];
  return { namespaces: [...namespaces, { type: 'user' }], uidMappings: mapping, gidMappings: mapping };
}

const mounts = () =>
  textOf('/proc/self/mountinfo')
    .trim()
    .split('\n')
    .map((line) => line.split(' ').slice(3, 5).join(' '));

/** In every hierarchy there is. */
function cgroupsNamed(name: string): string[] {
  const top = '/sys/fs/cgroup';
  const hierarchies = [top, ...directories(top).map((each) => join(top, each))];
  return hierarchies.map((each) => join(each, name)).filter((path) => existsSync(path));
}

function directories(path: string): string[] {
  return readdirSync(path, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name);
}

function below(directory: string): string[] {
  return readdirSync(directory).flatMap((name) => {
    const path = join(directory, name);
    try {
      return lstatSync(path).isDirectory() ? [path, ...below(path)] : [path];
    } catch {
      return [];
    }
  });
}

function argumentsOf(pid: string): string {
  const words = textOf(`/proc/${pid}/cmdline`).split('\0').join(' ').trim();
  return words === '' ? linkOf(`/proc/${pid}/exe`) : words;
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
