import { RuntsError } from '../errors.ts';
import type { Exit as ProcessExit } from '../host/host.ts';
import { signalName, signalNumber } from '../spec/names.ts';
import type { Collector } from './output.ts';

/** How a container's command ended: exactly one of `exitCode` and `signal` is set. */
export interface Exit {
  /** Undefined where a signal ended it. */
  readonly exitCode: number | undefined;
  /** The name of the signal that ended it: `SIGKILL`. */
  readonly signal: string | undefined;
  /** The kernel killed a process of the container for want of memory (memory.events, oom_kill). */
  readonly oomKilled: boolean;
}

/** What `run` and `exec` give: one shape for success and failure, as execa has it. */
export interface Result extends Exit {
  /** With the entrypoint. */
  readonly command: readonly string[];
  /** As UTF-8; at most `maxOutput` of it. */
  readonly stdout: string;
  /** The same. With a terminal, everything is in `stdout`. */
  readonly stderr: string;
  /** From the call to its end. */
  readonly durationMs: number;
  /** A non-zero exit code, a signal, a timeout or a cancellation. */
  readonly failed: boolean;
  /** It ran longer than `timeout`. */
  readonly timedOut: boolean;
  /** Its `signal` ended it. */
  readonly canceled: boolean;
  /** More was written than `maxOutput`; the rest was thrown away. */
  readonly truncated: boolean;
}

/** What is known of a command at its end. */
export interface End {
  readonly command: readonly string[];
  readonly stdout: Collector | undefined;
  readonly stderr: Collector | undefined;
  /** By `performance.now()`. */
  readonly began: number;
  readonly deadline: { readonly timedOut: boolean; readonly canceled: boolean };
}

export function resultOf(exit: Exit, { command, stdout, stderr, began, deadline }: End): Result {
  const { exitCode, signal, oomKilled } = exit;
  const { timedOut, canceled } = deadline;
  return {
    exitCode,
    signal,
    oomKilled,
    command,
    stdout: stdout?.text() ?? '',
    stderr: stderr?.text() ?? '',
    durationMs: performance.now() - began,
    failed: timedOut || canceled || exitCode !== 0,
    timedOut,
    canceled,
    truncated: stdout?.truncated === true || stderr?.truncated === true,
  };
}

/** A command that ran and failed; `result` has all that is known of it. */
export class ExitError extends RuntsError {
  override readonly name: string = 'ExitError';
  readonly result: Result;

  constructor(result: Result, cause?: unknown) {
    const code = result.timedOut ? 'ERR_TIMEOUT' : result.canceled ? 'ERR_CANCELED' : 'ERR_EXIT';
    super(code, describe(result), { cause, exit: exitStatus(result) });
    this.result = result;
  }
}

/** The exit code a shell would show: 128 + n for signal n. */
function exitStatus({ exitCode, signal }: Exit): number {
  return exitCode ?? 128 + (signalNumber(signal ?? 'SIGKILL') ?? 0);
}

/** The kernel's words to ours. */
export function exitOf(exit: ProcessExit, oomKilled: boolean): Exit {
  return {
    exitCode: exit.code,
    signal: exit.signal === undefined ? undefined : signalName(exit.signal),
    oomKilled,
  };
}

function describe(result: Result): string {
  const command = result.command.map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : JSON.stringify(word))).join(' ');
  const why = result.timedOut
    ? `timed out after ${Math.round(result.durationMs)} ms`
    : result.canceled
      ? 'was canceled'
      : result.signal !== undefined
        ? `was ended by ${result.signal}${result.oomKilled ? ' (out of memory)' : ''}`
        : `failed with exit code ${result.exitCode}`;
  const tail = lastLines(result.stderr, 10);
  return `${command} ${why}${tail === '' ? '' : `\n${tail}`}`;
}

function lastLines(text: string, count: number): string {
  return text.trimEnd().split('\n').slice(-count).join('\n');
}
