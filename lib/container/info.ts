import type { Labels } from '../spec/options.ts';
import type { ContainerImage } from './image.ts';
import type { Exit } from './result.ts';

/** How a container is: `stopped` is one that has ended, whether or not it can be started again. */
export type Status = 'created' | 'running' | 'paused' | 'stopped';

/** What `inspect()` and `containers()` tell of a container, as it is at that moment. */
export interface ContainerInfo {
  readonly id: string;
  readonly name: string;
  readonly status: Status;
  /** Of its first process, on the host; undefined once it has ended. */
  readonly pid: number | undefined;
  /** With the entrypoint. */
  readonly command: readonly string[];
  /** The image's, and its own over them. */
  readonly labels: Labels;
  /** What it was made of, where that is an image. */
  readonly image: ContainerImage | undefined;
  readonly created: Date;
  /** Of one that is detached, with neither code nor signal where nobody could note how it ended: its machine was, or process 1. */
  readonly exit: Exit | undefined;
  /** It outlives the process that made it. */
  readonly detached: boolean;
  /** How often its restart policy has started it since somebody else did. */
  readonly restarts: number;
  /** Of its log. */
  readonly logs: {
    /**
     * How many lines `logs()` does not have any more, as the log is bounded: older ones have made room for newer ones. Of one
     * that is detached: of its last run, those too that a full disk did not take; undefined until it has ended.
     */
    readonly droppedLines: number | undefined;
  };
}
