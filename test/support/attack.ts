import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, test } from 'vitest';
import { run } from '../../lib/index.ts';
import type { ContainerOptions, MountOption, RunOptions } from '../../lib/spec/options.ts';
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
  fs.copyFileSync('/bin/busybox', join(root, 'bin/busybox'));
  for (const name of ['sh', 'cat', 'id', 'ls', 'true']) fs.symlinkSync('busybox', join(root, 'bin', name));
  fs.writeFileSync(join(root, 'etc/passwd'), 'root:x:0:0::/:/bin/sh\n');
  return root;
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
