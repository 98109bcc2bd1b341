import type { Executed } from '../host/exec.ts';
import type { Session } from '../host/host.ts';
import type { Prepared } from '../host/prepare.ts';
import type { Birthplace } from '../host/walk.ts';
import type { Stdio } from '../node/stdio.ts';
import type { Home } from './home.ts';

/** A container that runs, as a command that is to join it needs it. */
export interface Running {
  readonly id: string;
  readonly home: Home;
  readonly prepared: Pick<Prepared, 'spec'> & { readonly plan: Pick<Prepared['plan'], 'maps'> };
  readonly created: {
    readonly session: Pick<Session, 'pid' | 'process'>;
    readonly cgroup: Birthplace | undefined;
  };
  /** Its process 1 holds files of the host. */
  readonly outlives?: true;
  /** Settled when the end of the container is known. */
  readonly ended: Promise<unknown>;
  /** A command has been started in it. */
  tell(): void;
}

/** A command that has joined it. */
export interface Started {
  readonly executed: Executed;
  readonly stdio: Stdio | undefined;
}
