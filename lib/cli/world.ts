import type { Handle, Host } from '../host/host.ts';
import type { ImagePort } from '../host/prepare.ts';
import type { VolumePort } from '../host/volumes.ts';
import type { ImageVerbs } from './images/port.ts';
import type { VolumeVerbs } from './volumes/port.ts';

/** What the command line needs of the world beside the ports of the core; bin/runts.js hands it in. */
export interface World {
  readonly host: Host;
  readonly images: ImagePort;
  /** The images that are stored here, and registries. */
  readonly imageVerbs: () => Promise<ImageVerbs>;
  readonly volumes: VolumePort;
  /** The volumes that are stored here, and those of plugins. */
  readonly volumeVerbs: () => Promise<VolumeVerbs>;
  /** What we were called as: `runts`, or the name of a link that leads to us. */
  readonly name: string;
  readonly version: string;
  /** The commit that this was built of, where that is known. */
  readonly commit: () => string | undefined;
  /** A variable of our environment. */
  readonly variable: (name: string) => string | undefined;
  /** The time in RFC 3339. */
  readonly time: () => string;
  readonly print: (text: string) => void;
  readonly printError: (text: string) => void;
  /** Adds to the end of a log file, which is made when missing. Throws when it cannot. */
  readonly append: (path: string, text: string) => void;
  /** All of our standard input as text. */
  readonly input: () => Promise<string>;
  /** Tells of each call of a port of `host` from now on; `host` must not have been used before. */
  readonly trace: (listener: (line: string) => void) => void;
  /** Handles of our own descriptors 0, 1 and 2. */
  readonly stdio: () => readonly [Handle, Handle, Handle];
  readonly terminal: Terminal;
  /** Hears signals that are sent to us and are the container's to act on, by number, until the function it gives is called. */
  readonly onSignal: (listener: (signal: number) => void) => () => void;
}

/** The terminal that we are run from. */
export interface Terminal {
  /** Whether our standard input is one. */
  readonly input: boolean;
  /** Whether our standard output is one: its lines are shown, and not kept. */
  readonly output: boolean;
  /** Whether our standard error is one: a person reads what went wrong. */
  readonly errors: boolean;
  /** Whether one of our three standard streams is one. */
  readonly any: boolean;
  readonly size: () => { columns: number; rows: number };
  /**
   * Joins it to the master of a container's terminal: raw mode, both directions, every change of size. `done` is
   * fulfilled when the container's side has ended and all it wrote is shown; `release` gives the terminal back as it was.
   */
  readonly join: (master: Handle) => { readonly done: Promise<void>; readonly release: () => void };
}
