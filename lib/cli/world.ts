import type { Handle, Host } from '../host/host.ts';
import type { ImagePort } from '../host/prepare.ts';

/** What the command line needs of the world beside the ports of the core; bin/runts.js hands it in. */
export interface World {
  readonly host: Host;
  readonly images: ImagePort;
  readonly version: string;
  readonly print: (text: string) => void;
  readonly printError: (text: string) => void;
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
  /** Whether one of our three standard streams is one. */
  readonly any: boolean;
  readonly size: () => { columns: number; rows: number };
  /**
   * Joins it to the master of a container's terminal: raw mode, both directions, every change of size. `done` is
   * fulfilled when the container's side has ended and all it wrote is shown; `release` gives the terminal back as it was.
   */
  readonly join: (master: Handle) => { readonly done: Promise<void>; readonly release: () => void };
}
