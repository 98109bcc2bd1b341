import type { Exit } from './result.ts';

/** What became of a container. */
export interface ContainerEvent {
  readonly type: 'container';
  /** `oom`: the kernel killed a process of it for want of memory. `exec`: one more command was started in it. */
  readonly action: 'create' | 'start' | 'pause' | 'resume' | 'oom' | 'exec' | 'exit' | 'remove';
  readonly id: string;
  readonly name: string;
  readonly at: Date;
  /** With `exit`: how its command ended. */
  readonly exit?: Exit;
}
