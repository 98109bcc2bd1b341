import type { Cgroup } from '../../host/cgroups/cgroup.ts';
import type { Handle } from '../../host/host.ts';
import type { Exit } from '../result.ts';
import type { Found } from './living.ts';
import type { DetachedRecord, DetachedState } from './record.ts';

/** Nobody could note how it ended. */
export const unknownExit: Exit = { exitCode: undefined, signal: undefined, oomKilled: false };

/** How it is to begin. */
export interface Beginning {
  readonly cancel?: AbortSignal | undefined;
  /** By its policy. */
  readonly again?: boolean | undefined;
  /** Asked once nobody else can change anything. */
  readonly unless?: ((state: DetachedState, found: Found) => boolean) | undefined;
}

/** A container as it was found. */
export interface Looked {
  readonly record: DetachedRecord;
  readonly state: DetachedState;
  readonly found: Found;
}

/** What lives of it. */
export interface Held {
  readonly process: Handle;
  readonly cgroup: Cgroup | undefined;
}
