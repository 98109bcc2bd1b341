import { setTimeout as sleep } from 'node:timers/promises';
import { RuntsError, specError } from '../errors.ts';
import { checkExec } from '../spec/exec-options.ts';
import type { Container } from './container.ts';
import { answers, type HttpRequest, listens } from './ready-network.ts';

/** Fulfilled once the container does its work. The signal says that nobody waits any more. */
export type Ready = (container: Container, signal: AbortSignal) => Promise<void>;

/** Between two tries of a command: short at first, for what is up at once. */
const pauseMs = { first: 10, last: 500 };

/** Conditions for the option `ready` of a container; a function of one's own is one, too. */
export const ready = {
  /** A line of its output matches: a text that is in it, or a pattern; so many `times` (1). */
  log(pattern: RegExp | string, { times = 1 }: { readonly times?: number } = {}): Ready {
    if (typeof pattern !== 'string' && !(pattern instanceof RegExp))
      throw wrong('/pattern', 'must be a text or a RegExp');
    if (!Number.isInteger(times) || times < 1) throw wrong('/times', 'must be a number from 1 on');
    // Its own state would make a global pattern skip lines.
    const matches = typeof pattern === 'string' ? new RegExp(escaped(pattern)) : new RegExp(pattern, flags(pattern));
    return async (container, signal) => {
      let seen = 0;
      for await (const { text } of container.logs({ follow: true, signal })) {
        if (matches.test(text) && ++seen === times) return;
      }
      return nobodyWaits(signal);
    };
  },

  /** A command in the container succeeds: it is tried again and again. */
  exec(command: readonly string[]): Ready {
    const issues = checkExec(command, {});
    if (issues.length > 0) throw specError('cannot wait for this command', issues);
    return async (container, signal) => {
      for (let ms = pauseMs.first; ; ms = Math.min(ms * 2, pauseMs.last)) {
        const failed = await fails(container, command, signal);
        if (!failed) return;
        await sleep(ms, undefined, { signal });
      }
    };
  },

  /** Something in it listens at a TCP port: that of its own network, or of the host's where it shares that. */
  port(port: number): Ready {
    return listens(port);
  },

  /** A server in it answers a GET request with this status (200). It must share the host's network: ERR_UNSUPPORTED. */
  http(request: HttpRequest): Ready {
    return answers(request);
  },

  /** The container's command ends, with this exit code (0): for one that prepares something. */
  exit(code = 0): Ready {
    return async (container, signal) => {
      const { exitCode, signal: killer } = await container.wait({ signal });
      if (exitCode === code) return;
      throw new RuntsError(
        'ERR_NOT_READY',
        `container ${container.name} ended with ${killer ?? `exit code ${exitCode}`}, not with exit code ${code}`,
      );
    };
  },

  /** All of them hold. */
  all(...conditions: readonly Ready[]): Ready {
    return async (container, signal) => {
      await together(signal, (each) => Promise.all(conditions.map((condition) => condition(container, each))));
    };
  },

  /** One of them holds. */
  any(...conditions: readonly Ready[]): Ready {
    return async (container, signal) => {
      await together(signal, (each) => Promise.any(conditions.map((condition) => condition(container, each))));
    };
  },
} as const;

async function fails(container: Container, command: readonly string[], signal: AbortSignal): Promise<boolean> {
  try {
    const { failed } = await container.exec(command, { reject: false, signal, maxOutput: 64 * 1024 });
    signal.throwIfAborted();
    return failed;
  } catch (error) {
    // Somebody has stopped it on the way, and will let it go on.
    if (container.status === 'paused') return true;
    if (container.status !== 'running') return nobodyWaits(signal);
    throw error;
  }
}

/** The container has ended, which is told better by who started it. */
function nobodyWaits(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    const abort = (): void => reject(signal.reason);
    if (signal.aborted) abort();
    else signal.addEventListener('abort', abort, { once: true });
  });
}

/** When it is settled, the conditions that still wait are told that nobody waits for them any more. */
async function together(signal: AbortSignal, work: (signal: AbortSignal) => Promise<unknown>): Promise<void> {
  const controller = new AbortController();
  try {
    await work(AbortSignal.any([signal, controller.signal]));
  } finally {
    controller.abort();
  }
}

const flags = ({ flags }: RegExp): string => flags.replace(/[gy]/g, '');
const escaped = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
const wrong = (path: string, message: string): RuntsError =>
  specError('cannot wait for this in the log', [{ path, message }]);
