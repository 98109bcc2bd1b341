import type { Runtime } from '../lib/index.js';
import type { Bundle } from './bundle.ts';
import type { Limit } from './limit.ts';
import type { Peer } from './peers.ts';

/** What the rows share. */
export interface World {
  readonly runs: number;
  readonly root: boolean;
  /** A directory of this run. */
  readonly scratch: string;
  readonly bundle: Bundle;
  readonly runtime: Runtime;
  readonly limit: Limit;
  readonly peers: readonly Peer[];
  /**
   * Milliseconds that a command of a peer took, spawned by a Node program of its own: a fork makes the memory of whoever forks
   * read-only for a while, and the next one there would pay for that.
   */
  readonly spawnedMs: (command: readonly string[], filter?: string) => Promise<number>;
  /** Notes how long a fixed piece of work takes now. */
  readonly noise: () => Promise<void>;
}
