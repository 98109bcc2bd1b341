import { execFileSync, spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, onTestFinished, test } from 'vitest';
import type { Host } from '../../lib/host/host.ts';
import { create } from '../../lib/host/oci/create.ts';
import { removeContainer } from '../../lib/host/oci/delete.ts';
import { type ExecRequest, exec } from '../../lib/host/oci/exec.ts';
import { killContainer } from '../../lib/host/oci/kill.ts';
import { pauseContainer } from '../../lib/host/oci/pause.ts';
import { start } from '../../lib/host/oci/start.ts';
import { containerState, type State } from '../../lib/host/oci/state.ts';
import { probeFacts } from '../../lib/host/probe.ts';
import { RuntsError, run } from '../../lib/index.ts';
import { openFile } from '../../lib/node/handle.ts';
import { createHost } from '../../lib/node/host.ts';
import { checkSpec } from '../../lib/spec/check.ts';
import { defaultSpec } from '../../lib/spec/defaults.ts';
import type { ContainerOptions, MountOption, RunOptions } from '../../lib/spec/options.ts';
import type { Draft, Process, Spec } from '../../lib/spec/types.ts';
import { can, type Feature, testIf } from './requires.ts';

export const isRoot = process.getuid?.() === 0;

/** What this file of tests needs on disk; removed when its tests have ended. */
const directory = fs.mkdtempSync(join(tmpdir(), 'runts-attack-'));
fs.chmodSync(directory, 0o755);
afterAll(() => fs.rmSync(directory, { recursive: true, force: true }));

/** A directory of its own that every user may enter and, with `open`, write to: nothing but the container keeps anybody out. */
export function place(name: string, { open = false } = {}): string {
  const path = fs.mkdtempSync(join(directory, `${name}-`));
  fs.chmodSync(path, open ? 0o777 : 0o755);
  return path;
}

let built: string | undefined;

/** test/attacks/payload.c as a static program; undefined where there is no C compiler for that. */
function build(): string | undefined {
  if (built !== undefined) return built;
  const source = fileURLToPath(new URL('../attacks/payload.c', import.meta.url));
  const program = join(directory, 'attack');
  const { status } = spawnSync('cc', ['-static', '-O1', '-o', program, source, '-lrt'], { stdio: 'ignore' });
  if (status !== 0) return undefined;
  built = program;
  return built;
}

/** A `test` that needs the hostile program, user namespaces, and whatever else. `cc` in RUNTS_MUST_WORK asks for the first. */
export function attackIf(...needed: Feature[]): typeof test {
  if (build() !== undefined) return testIf('userns', ...needed);
  const mustWork = (process.env['RUNTS_MUST_WORK'] ?? '').split(',').includes('cc');
  const unavailable = (name: string): void => {
    if (mustWork) test(name, () => Promise.reject(new Error('RUNTS_MUST_WORK has cc, but there is no C compiler')));
    else test.skip(`${name} (needs a C compiler)`, () => {});
  };
  return unavailable as unknown as typeof test;
}

/** The hostile program, on the host. */
export function payload(): string {
  const program = build();
  if (program === undefined) throw new Error('there is no C compiler');
  return program;
}

/** The hostile program, as a mount of a container: it is at `/attack` there. */
export const payloadMount = (): MountOption => ({ type: 'bind', source: payload(), target: '/attack', readonly: true });

/** Options of `run`, unchecked: some attacks are none. */
type Options = Readonly<Record<string, unknown>>;

export interface Outcome {
  /** What the attack won; nothing, if all is well. */
  readonly won: readonly string[];
  /** What it should be able to do: without these, nothing would have been tried. */
  readonly control: readonly string[];
  readonly exitCode: number | undefined;
  readonly output: string;
}

/** Runs an attack of test/attacks/payload.c in a container, by default one that has this machine as its root. */
export async function attack(options: Options, ...args: string[]): Promise<Outcome> {
  const source = 'rootfs' in options || 'bundle' in options ? {} : { host: true };
  const mounts = [payloadMount(), ...((options['mounts'] as MountOption[] | undefined) ?? [])];
  const command = ['/attack', ...args];
  const all = { ...source, reject: false, timeout: 20_000, ...options, mounts, command };
  const { stdout, stderr, exitCode } = await run(all as unknown as ContainerOptions & RunOptions);
  return { ...outcomeOf(stdout), exitCode, output: stdout + stderr };
}

/** The lines of an attack's output that say something. */
export function outcomeOf(output: string): Pick<Outcome, 'won' | 'control'> {
  const lines = output.split(/\r?\n/);
  const after = (word: string) => lines.filter((line) => line.startsWith(word)).map((line) => line.slice(word.length));
  return { won: after('WON '), control: after('control ') };
}

/** A directory of the host that every user may write to, and what a container has done to it. */
export function canary() {
  const path = place('canary', { open: true });
  fs.writeFileSync(join(path, 'secret'), 'the secret of the host\n');
  fs.writeFileSync(join(path, 'passwd'), 'evil:x:4242:4242::/:/bin/sh\n');
  fs.mkdirSync(join(path, 'inner'));
  for (const name of ['secret', 'inner']) fs.chmodSync(join(path, name), 0o777);
  const before = look(path);
  return { path, changes: () => look(path).filter((line) => !before.includes(line)) };
}

function look(path: string): string[] {
  const of = (name: string) => {
    const stats = fs.lstatSync(name);
    return `${name} ${stats.mode.toString(8)} ${stats.uid}:${stats.gid} ${stats.isDirectory() ? '' : stats.size}`;
  };
  const inside = fs.readdirSync(path, { withFileTypes: true });
  return [of(path), ...inside.flatMap((e) => (e.isDirectory() ? look(join(path, e.name)) : [of(join(path, e.name))]))];
}

/** A root file system with nothing but a shell, for somebody to spoil. */
export function smallRoot(): string {
  const root = place('root');
  for (const name of ['bin', 'etc', 'tmp', 'proc', 'sys', 'dev']) fs.mkdirSync(join(root, name));
  // Whoever the container's root is, it may make what the configuration wants there.
  for (const path of [root, ...['etc', 'tmp', 'dev'].map((name) => join(root, name))]) fs.chmodSync(path, 0o777);
  fs.copyFileSync('/bin/busybox', join(root, 'bin/busybox'));
  for (const name of ['sh', 'cat', 'id', 'ls', 'mkfifo', 'sleep', 'true'])
    fs.symlinkSync('busybox', join(root, 'bin', name));
  fs.writeFileSync(join(root, 'etc/passwd'), 'root:x:0:0::/:/bin/sh\n');
  return root;
}

// ---- bundles, as engines have them run --------------------------------------------------------------------------------

export type BundleSpec = Draft<Spec> & { process: Draft<Process> };
type Edit = (spec: BundleSpec) => void;

/** With a user namespace, and as engines of root write it without: there, nothing but the runtime keeps root in. */
export const userNamespaces: readonly (readonly [how: string, edit: Edit])[] = [
  ['in a user namespace', () => {}],
  ...(isRoot ? ([['without a user namespace', withoutUserns]] as const) : []),
];

export function withoutUserns(spec: BundleSpec): void {
  spec.linux.namespaces = spec.linux.namespaces.filter(({ type }) => type !== 'user');
}

/** The configuration of a container with Docker's defaults. */
export function bundleSpec(rootfs: string, args: readonly string[], edit: Edit = () => {}): BundleSpec {
  const spec = defaultSpec() as BundleSpec;
  spec.root.path = rootfs;
  spec.process.args = [...args];
  spec.process.env = ['PATH=/bin'];
  edit(spec);
  return spec;
}

/** A bundle on disk, for the library or the command line. */
export function bundleOf(rootfs: string, args: readonly string[], edit?: Edit): string {
  const bundle = place('bundle');
  fs.writeFileSync(join(bundle, 'config.json'), JSON.stringify(bundleSpec(rootfs, args, edit)));
  return bundle;
}

/** What came of it: what it wrote, or the code of the error that it was refused with. */
export interface Attempt {
  readonly output: string;
  readonly refused: string | undefined;
  /** In its words, for whoever did not expect it. */
  readonly why?: string;
}

/** What may be refused must be refused with a reason: never by an error of ours that nobody thought of. */
export async function attempted(work: () => Promise<string>): Promise<Attempt> {
  try {
    return { output: await work(), refused: undefined };
  } catch (error) {
    expect(error).toBeInstanceOf(RuntsError);
    const { code, message } = error as RuntsError;
    expect(`${code}: ${message}`).not.toContain('ERR_INTERNAL');
    return { output: '', refused: code, why: message };
  }
}

const nullDevice = () => openFile('/dev/null', fs.constants.O_RDWR);

/** A container of several commands, as the command line has it: create, start, exec, delete, without new processes of Node. */
export class Lifecycle {
  readonly #state = place('state');
  readonly #host: Host;
  readonly id: string;
  #pid = 0;

  // Of its own: beside it other files of tests make theirs, and its cgroup has its name.
  constructor(id = `attacked-${randomUUID()}`, host = createHost()) {
    this.id = id;
    this.#host = host;
    fs.chmodSync(this.#state, 0o700);
    onTestFinished(() => this.delete());
  }

  get pid(): number {
    return this.#pid;
  }

  get root(): string {
    return this.#state;
  }

  /** Makes and starts it. Its output goes to a file; `ended` gives that. */
  async run(rootfs: string, args: readonly string[], edit?: Edit) {
    const made = await this.create(rootfs, args, edit);
    await this.start();
    return made;
  }

  async create(rootfs: string, args: readonly string[], edit?: Edit) {
    const checked = checkSpec(bundleSpec(rootfs, args, edit));
    if (checked.issues !== undefined) throw new RuntsError('ERR_SPEC', 'refused', { issues: checked.issues });
    const { spec } = checked;
    const terminal = spec.process?.terminal === true;
    const out = new Output();
    const made = await create(this.#host, await probeFacts(this.#host), {
      root: this.#state,
      id: this.id,
      bundle: place('bundle'),
      spec,
      owner: 'root',
      preserveFds: 0,
      noPivot: false,
      noNewKeyring: false,
      cgroupManager: 'cgroupfs',
      stdio: terminal ? undefined : await out.stdio(),
      warn: () => {},
    });
    made.console?.close();
    this.#pid = made.pid;
    const ended = async (): Promise<string> => {
      await made.exit;
      return out.text();
    };
    return { ended, shown: () => out.text() };
  }

  /** Runs a command in it to its end. */
  async exec(process: Partial<Process> & Pick<Process, 'args'>, options: Partial<ExecRequest> = {}): Promise<string> {
    const out = new Output();
    const executed = await exec(this.#host, await probeFacts(this.#host), {
      root: this.#state,
      id: this.id,
      process: { cwd: '/', user: { uid: 0, gid: 0 }, env: ['PATH=/bin'], ...process } as Process,
      preserveFds: 0,
      noNewKeyring: false,
      ignorePaused: false,
      stdio: process.terminal === true ? undefined : await out.stdio(),
      ...options,
    });
    executed.console?.close();
    await executed.exit;
    executed.release();
    return out.text();
  }

  start(): Promise<void> {
    return start(this.#host, this.#state, this.id, { warn: () => {} });
  }

  kill(): Promise<void> {
    return killContainer(this.#host, this.#state, this.id, 9, { all: false });
  }

  pause(): Promise<void> {
    return pauseContainer(this.#host, this.#state, this.id);
  }

  state(): Promise<State> {
    return containerState(this.#host, this.#state, this.id);
  }

  async delete(): Promise<void> {
    await removeContainer(this.#host, this.#state, this.id, { force: true, warn: () => {} });
  }
}

/** A file that takes what a command says. */
class Output {
  readonly #path = join(place('output', { open: true }), 'text');

  async stdio() {
    fs.writeFileSync(this.#path, '');
    fs.chmodSync(this.#path, 0o666);
    const append = () => openFile(this.#path, fs.constants.O_WRONLY | fs.constants.O_APPEND);
    return Promise.all([nullDevice(), append(), append()]);
  }

  text(): string {
    return fs.existsSync(this.#path) ? fs.readFileSync(this.#path, 'utf8') : '';
  }
}

/** The mounts of the host, as this process sees them. */
export const hostMounts = (): string[] =>
  fs
    .readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' ').slice(2).join(' '))
    .sort();

/** A FIFO, which Node cannot make. */
export const fifo = (path: string): void => void execFileSync('mkfifo', [path]);

/** Options for a command that is another user than root of its container, where it has such ids. */
export const asAnother = process.getuid?.() === 0 || can('subuids') === true ? [{ user: '5' }] : [];
