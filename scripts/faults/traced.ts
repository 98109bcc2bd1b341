import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Call } from './calls.ts';

/** Whose calls a fault is about: the command line's, or those of the inits that it makes. */
export type Scope = 'host' | 'init';
/** A call fails; whoever makes it is killed; the command line is killed while an init makes it. */
export type Act = 'fail' | 'kill' | 'killhost' | 'list';

export interface Orders {
  readonly act: Act;
  readonly scope: Scope;
  /** The call in question, counted from 1; 0 counts only. */
  readonly at: number;
  readonly variant: number;
  readonly calls: readonly Call[];
  /** Of calls that open a file, only those count that make one. */
  readonly changers: boolean;
  readonly denied: readonly (readonly [number: number, errno: number])[];
}

export interface Traced {
  readonly code: number | undefined;
  readonly signal: number | undefined;
  /** It did not end in time: where each of its threads was. */
  readonly stuck: readonly string[] | undefined;
  readonly counted: { readonly host: number; readonly init: number };
  /** The call that it came to: its number, its errno, what it was about. */
  readonly hit: { readonly number: number; readonly errno: number; readonly subject: string } | undefined;
  readonly listed: readonly { readonly scope: Scope; readonly number: number; readonly subject: string }[];
  readonly stdout: string;
  readonly stderr: string;
}

export interface User {
  readonly uid: number;
  readonly gid: number;
}

/** How long a command may take before it counts as hung. */
export const limitS = 20;

/** Our own sources and those of our packages: to load them is Node's affair. */
const skipped = ['/dist/', '/node_modules/', '/package.json', '/node-compile-cache/'];
/** From the moment that the native part is loaded, which is where the command line begins, it is our calls. */
const mark = 'build/Release/runts.node';
const init = 'runts-init';

/** The checkout that these scripts are built in. */
export const checkout = fileURLToPath(new URL('../../..', import.meta.url));

export function buildTracer(directory: string): string {
  const program = join(directory, 'inject');
  execFileSync('cc', ['-O2', '-o', program, join(checkout, 'scripts/faults/inject.c')]);
  return program;
}

export interface Tracing {
  readonly tracer: string;
  /** A directory for its output. */
  readonly directory: string;
  readonly user: User;
  readonly environment: Readonly<Record<string, string>>;
}

/** What Node runs: the command line, or a program of its own. */
export const programs = {
  commandLine: join(checkout, 'bin/runts.js'),
  library: join(checkout, 'dist/scripts/faults/library.js'),
} as const;

/** Runs a program under the tracer, with these arguments. */
export async function traced(tracing: Tracing, orders: Orders, [program, ...args]: readonly string[]): Promise<Traced> {
  const at = (name: string) => join(tracing.directory, name);
  const [stdout, stderr] = [openSync(at('stdout'), 'w'), openSync(at('stderr'), 'w')];
  try {
    const { uid, gid } = tracing.user;
    const node = [process.execPath, '--v8-pool-size=0', program ?? programs.commandLine];
    const child = spawn(tracing.tracer, [at('report'), `${limitS}`, `${uid}`, `${gid}`, ...node, ...args], {
      env: { ...tracing.environment, UV_THREADPOOL_SIZE: '1' },
      stdio: ['pipe', stdout, stderr],
    });
    give(child, written(orders));
    await once(child, 'exit');
  } finally {
    closeSync(stdout);
    closeSync(stderr);
  }
  return report(
    readFileSync(at('report'), 'utf8'),
    readFileSync(at('stdout'), 'utf8'),
    readFileSync(at('stderr'), 'utf8'),
  );
}

function give(child: ChildProcess, text: string): void {
  child.stdin?.on('error', () => undefined);
  child.stdin?.end(text);
}

function written({ act, scope, at, variant, calls, changers, denied }: Orders): string {
  const lines = [
    `init ${init}`,
    `changers ${changers ? 1 : 0}`,
    `act ${act}`,
    `scope ${scope}`,
    `at ${at}`,
    `variant ${variant}`,
    `mark ${mark}`,
  ];
  lines.push(...skipped.map((part) => `skip ${part}`));
  lines.push(...calls.map(({ number, errnos }) => `call ${[number, ...errnos].join(' ')}`));
  lines.push(...denied.map(([number, errno]) => `deny ${number} ${errno}`));
  return `${lines.join('\n')}\n`;
}

function report(text: string, stdout: string, stderr: string): Traced {
  const rows = text.split('\n').map((line) => line.split(' '));
  const value = (word: string) => rows.find(([first]) => first === word);
  const number = (word: string) => {
    const found = value(word)?.[1];
    return found === undefined ? undefined : Number(found);
  };
  const counted = value('counted');
  const hit = value('hit');
  return {
    code: number('exit'),
    signal: number('signal'),
    stuck: value('timeout') && rows.filter(([word]) => word === 'stuck').map((row) => row.slice(1).join(' ')),
    counted: { host: Number(counted?.[1] ?? 0), init: Number(counted?.[2] ?? 0) },
    hit: hit && { number: Number(hit[1]), errno: Number(hit[2]), subject: hit.slice(3).join(' ') },
    listed: rows
      .filter(([word]) => word === 'call')
      .map(([, scope, , call, ...subject]) => ({
        scope: scope === 'init' ? 'init' : 'host',
        number: Number(call),
        subject: subject.join(' '),
      })),
    stdout,
    stderr,
  };
}
