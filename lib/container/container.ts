import type { Readable, Writable } from 'node:stream';
import type { WaitOptions } from '../node/aborted.ts';
import type { ExecOptions } from '../spec/exec-options.ts';
import type { Limits, RunOptions } from '../spec/options.ts';
import type { Address } from './address.ts';
import type { CopyOptions } from './copy.ts';
import type { ContainerInfo, Status } from './info.ts';
import type { LogLine, LogOptions } from './logs.ts';
import type { RemoveOptions, StartOptions, StopOptions } from './options.ts';
import type { Process } from './process.ts';
import type { Stats } from './resources.ts';
import type { Exit, Result } from './result.ts';
import type { Snapshot, SnapshotOptions } from './snapshot.ts';

export type { WaitOptions } from '../node/aborted.ts';
export type { ContainerImage } from './image.ts';
export type { ContainerInfo, Status } from './info.ts';
export type { RemoveOptions, StartOptions, StopOptions } from './options.ts';

/**
 * A container: made, then started. It belongs to the process that made it, and ends with it; unless it is `detached`, then
 * any process may have it.
 */
export interface Container extends AsyncDisposable {
  /** 64 hexadecimal digits. */
  readonly id: string;
  /** What it was given, or the first twelve digits of its id. */
  readonly name: string;
  /** Of one that is detached: as it was found when it was last asked for anything. `inspect` looks anew. */
  readonly status: Status;
  /** Of its first process, as the host counts them. */
  readonly pid: number | undefined;
  /** The standard input of the command, with `stdin: 'pipe'` or a terminal. */
  readonly stdin: Writable | undefined;
  /**
   * What the command writes, from now on; whoever reads it sets the pace. Nobody has to: the log is always read. None where
   * it is detached: there are its logs.
   */
  readonly stdout: Readable | undefined;
  /** As `stdout`; with a terminal, everything comes by that one. */
  readonly stderr: Readable | undefined;
  /**
   * Executes the command. Fulfilled once it runs, and `ready` holds. On a failure the container is removed, unless it is
   * detached; and one that is detached can be started again after its end, over the same files. With a restart policy it
   * is started again by itself: `ready` may hold in a later run.
   */
  start(options?: StartOptions): Promise<this>;
  /**
   * How the command ends, once it has; of one of ours with a restart policy, the end after which it is not started again.
   * Rejects where it was to be started again, and could not be.
   */
  wait(options?: WaitOptions): Promise<Exit>;
  /** `stopSignal`, then SIGKILL after `grace` ms; no restart policy starts it again. Safe to call twice. */
  stop(options?: StopOptions): Promise<Exit>;
  /** Sends a signal to the command; SIGKILL unless another is named. */
  kill(signal?: string): Promise<void>;
  /** Stops all its processes where they are, until `resume()`. */
  pause(options?: WaitOptions): Promise<void>;
  /** Lets a paused container go on. */
  resume(options?: WaitOptions): Promise<void>;
  /** What it uses at this moment, and has used so far. */
  stats(options?: WaitOptions): Promise<Stats>;
  /** Changes its limits; those that are not named stay. */
  update(limits: Limits, options?: WaitOptions): Promise<void>;
  /**
   * Unpacks a tar archive into a directory of it, which must be there. What is there stays, but for files of the same name;
   * owners are ids of the container.
   */
  copyIn(tar: AsyncIterable<Uint8Array>, target: string, options?: CopyOptions): Promise<void>;
  /** A tar archive of a file or a directory of it, under its last name; of `/` without one. */
  copyOut(source: string, options?: CopyOptions): Promise<Readable>;
  /** Keeps what its root file system has now, for new containers: `createContainer({ from: snapshot })`. None of one that is detached. */
  snapshot(options?: SnapshotOptions): Promise<Snapshot>;
  /** Runs one more command in it, to its end, and gives what it wrote. Rejects with ExitError unless `reject: false`. */
  exec(command: readonly string[], options?: ExecOptions & RunOptions): Promise<Result>;
  /** Starts one more command in it, and hands over its streams. */
  spawn(command: readonly string[], options?: ExecOptions): Promise<Process>;
  /** What it wrote, line by line; with `follow` until it ends. */
  logs(options?: LogOptions): AsyncIterable<LogLine>;
  /** Where this process reaches a port of it. ERR_UNSUPPORTED where its network is not the host's. */
  address(port: number): Address;
  /** Tells a container with a terminal that its window has another size. */
  resize(size: { readonly columns: number; readonly rows: number }): void;
  /** All that is known of it at this moment. ERR_NOT_FOUND for a detached one that was removed. */
  inspect(): Promise<ContainerInfo>;
  /**
   * Removes a container that does not run; with `force` any, which ends it. Volumes that nobody has named go with it, unless
   * `volumes` is false. Safe to call twice.
   */
  remove(options?: RemoveOptions): Promise<void>;
}
