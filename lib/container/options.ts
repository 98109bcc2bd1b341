import type { WaitOptions } from '../node/aborted.ts';
import type { ContainerOptions } from '../spec/options.ts';

/** How long `start()` waits. */
export interface StartOptions {
  /** In milliseconds, for the command to be executed and for `ready`. The container is removed when it runs out. */
  readonly timeout?: number;
  /** Gives it up, with ERR_CANCELED: the container is removed, unless it is detached. */
  readonly signal?: AbortSignal;
}

/** How `stop()` ends a container. */
export interface StopOptions {
  /** Default: the option `stopSignal`, or the image's, or SIGTERM. */
  readonly signal?: string;
  /** Milliseconds until SIGKILL. Default 10,000, as docker has it. */
  readonly grace?: number;
  /** Gives up waiting for the end, with ERR_CANCELED; what was asked for comes all the same, and SIGKILL at its time. */
  readonly cancel?: AbortSignal | undefined;
}

/** What goes with a container that is removed. */
export interface RemoveOptions extends WaitOptions {
  /** Also one that runs. */
  readonly force?: boolean;
  /** Default `true`: with the volumes that nobody has named. */
  readonly volumes?: boolean;
}

/** Where the streams of a command lead unless it is said otherwise. */
export function targets({ stdin = 'ignore', stdout = 'pipe', stderr = 'pipe' }: ContainerOptions) {
  return { stdin, stdout, stderr };
}
