import type { CgroupManager } from '../host/oci/create.ts';
import type { Log } from './log.ts';
import type { Flags, Grammar, Parsed } from './parse.ts';
import type { World } from './world.ts';

/** One command: how it is written, and what it does. Help, manual and completion are made of this. */
export interface Command {
  /** What follows the command's name, a line for each form: `[OPTIONS] ID`. */
  readonly synopsis: readonly string[];
  /** What a person should know beside the options. */
  readonly text: string;
  readonly flags: Flags;
  /** More options, which belong to another form of the command. */
  readonly otherFlags?: { readonly title: string; readonly flags: Flags };
  readonly grammar?: Grammar;
  /** Of what kind its words are, for completion. */
  readonly words?: 'containers' | readonly string[];
  /**
   * Docker's habits instead of runc's: exit codes 125 to 127 for what we could not do, and errors over several lines
   * wherever they go. Otherwise an error exits with `failure`, and is one line where no person reads it.
   */
  readonly docker?: true;
  /** Exit code of what went wrong once the command line was understood; 1 unless given. */
  readonly failure?: number;
  readonly main: (parsed: Parsed, context: Context) => Promise<number>;
}

/** What the options before the command say. */
export interface Context {
  readonly world: World;
  readonly log: Log;
  /** Where the state of containers is: absolute. */
  readonly root: string;
  readonly cgroupManager: CgroupManager;
}
