import type { Labels } from '../spec/options.ts';
import type { ContainerImage } from './image.ts';
import type { Exit } from './result.ts';

export type Status = 'created' | 'running' | 'paused' | 'stopped';

export interface ContainerInfo {
  readonly id: string;
  readonly name: string;
  readonly status: Status;
  /** Of its first process, on the host; undefined once it has ended. */
  readonly pid: number | undefined;
  readonly command: readonly string[];
  readonly labels: Labels;
  /** What it was made of, where that is an image. */
  readonly image: ContainerImage | undefined;
  readonly created: Date;
  readonly exit: Exit | undefined;
}
