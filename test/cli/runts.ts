import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { patienceMs } from '../support/requires.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
export const bin = join(root, 'bin', 'runts.js');

/** What is tested: bin/runts.js, or another program that is to do the same, such as the static one (`npm run build:tiny`). */
const given = process.env['RUNTS_BINARY'];
export const command = given === undefined ? ([process.execPath, bin] as const) : ([given] as const);
const [program, ...words] = command;

if (!existsSync(join(root, 'dist', 'bundle', 'command-line.js'))) {
  throw new Error('the command line is tested as it is built, and dist is missing: run `npm run compile`');
}

export interface Ended {
  /** 128 + n where signal n ended the command line itself. */
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Options {
  readonly input?: string;
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** Runs the command line to its end. Its standard input is empty unless something is given. */
export async function runts(args: readonly string[], { input = '', ...options }: Options = {}): Promise<Ended> {
  const started = startRunts(args, options);
  started.child.stdin?.on('error', () => {});
  started.child.stdin?.end(input);
  return started.ended;
}

/**
 * Runs the command line to its end where what it leaves running keeps its output: files take it, and nobody waits for
 * those to be closed.
 */
export async function runtsDetached(args: readonly string[], options: Omit<Options, 'input'> = {}): Promise<Ended> {
  const directory = mkdtempSync(join(tmpdir(), 'runts-test-'));
  const paths = ['out', 'err'].map((name) => join(directory, name));
  const files = paths.map((path) => openSync(path, 'w'));
  try {
    const child = spawn(program, [...words, ...args], { ...settings(options), stdio: ['ignore', ...files] });
    const [code, signal] = await once(child, 'exit');
    const [stdout, stderr] = paths.map((path) => readFileSync(path, 'utf8')) as [string, string];
    return { code, signal, stdout, stderr };
  } finally {
    for (const file of files) closeSync(file);
    rmSync(directory, { recursive: true });
  }
}

/** Starts the command line, with pipes. */
export function startRunts(args: readonly string[], options: Omit<Options, 'input'> = {}) {
  return started(spawn(program, [...words, ...args], { ...settings(options), stdio: 'pipe' }));
}

/** A line of shell in which `$RUNTS` is the command line: for pipes and redirections. */
export function shell(script: string, options: Omit<Options, 'input'> = {}): Promise<Ended> {
  const { cwd, env } = settings(options);
  const child = spawn('bash', ['-c', script], { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
  return started(child).ended;
}

/**
 * The same in a terminal of 91 columns and 27 rows, by script(1). What it shows, of both streams, is the standard output.
 */
export function inTerminal(script: string, options: Omit<Options, 'input'> = {}) {
  const line = `stty cols 91 rows 27; ${script}`;
  const child = spawn('script', ['-qec', line, '/dev/null'], { ...settings(options), stdio: 'pipe' });
  return started(child);
}

function settings({ cwd = root, env }: Omit<Options, 'input'>) {
  return { cwd, env: { ...process.env, SHELL: '/bin/bash', RUNTS: command.join(' '), ...env } };
}

function started(child: ChildProcess) {
  const texts = { stdout: '', stderr: '' };
  const listeners = new Set<() => void>();
  for (const name of ['stdout', 'stderr'] as const) {
    child[name]?.setEncoding('utf8').on('data', (text: string) => {
      texts[name] += text;
      for (const listener of listeners) listener();
    });
  }
  const ended = new Promise<Ended>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve({ code, signal, ...texts }));
  });
  let seen = 0;
  return {
    child,
    ended,
    /** Waits until the standard output, from where the last call found its text, has this one. */
    shows: (text: string) =>
      new Promise<void>((resolve, reject) => {
        const look = (): void => {
          const at = texts.stdout.indexOf(text, seen);
          if (at < 0) return;
          seen = at + text.length;
          listeners.delete(look);
          resolve();
        };
        const fail = (how: string) => (): void =>
          reject(new Error(`${how} without ${JSON.stringify(text)}: ${JSON.stringify(texts)}`));
        listeners.add(look);
        look();
        void ended.then(fail('ended'));
        setTimeout(fail(`${patienceMs} ms`), patienceMs).unref();
      }),
    /** The standard output so far. */
    shown: () => texts.stdout,
    type: (text: string) => void child.stdin?.write(text),
  };
}
