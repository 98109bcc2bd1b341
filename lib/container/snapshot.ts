import { RuntsError } from '../errors.ts';
import type { PreparedImage } from '../host/prepare.ts';
import type { ContainerOptions } from '../spec/options.ts';
import type { Container } from './container.ts';
import type { Taken } from './snapshots.ts';

/** How `snapshot()` is taken. */
export interface SnapshotOptions {
  /** Whether its processes stand still meanwhile. Default: where it has a cgroup, which that takes. */
  readonly pause?: boolean | undefined;
  /** Gives it up; what was copied is removed. */
  readonly signal?: AbortSignal | undefined;
}

/** What a container's root file system was at a moment; containers are made of it with `createContainer({ from })`. */
export class Snapshot implements AsyncDisposable {
  readonly id: string;
  /** Bytes in the files that its container had changed or made. */
  readonly size: number;
  readonly created = new Date();
  readonly #remove: () => Promise<void>;

  constructor({ id, size }: Taken['layer'], remove: () => Promise<void>) {
    this.id = id;
    this.size = size;
    this.#remove = remove;
  }

  /** Removes it, when no container and no other snapshot needs it any more. Safe to call twice. */
  remove(): Promise<void> {
    return this.#remove();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.remove();
  }
}

/** The options that those of its containers begin with: what was said of one container only is left away. */
export function keptOptions(options: ContainerOptions): Taken['options'] {
  const own = ['image', 'pull', 'from', 'rootfs', 'bundle', 'host', 'name', 'signal', 'stdin', 'stdout', 'stderr'];
  return Object.fromEntries(Object.entries(options).filter(([name]) => !own.includes(name)));
}

/** Only what a container writes above an image is apart from everything else. */
export function mustHaveImage({ name }: Container, image: PreparedImage | undefined): PreparedImage {
  if (image !== undefined) return image;
  throw new RuntsError('ERR_UNSUPPORTED', `cannot take a snapshot of container ${name}: it is not made of an image`, {
    hint: 'What a container of a rootfs or a bundle writes is in that directory: copy it. `images.import` makes an image of an archive.',
  });
}

/** Does something while no process of the container runs, where that can be had. */
export async function whilePaused<T>(
  container: Container,
  pause: boolean | undefined,
  work: () => Promise<T>,
): Promise<T> {
  const paused = container.status === 'running' && pause !== false && (await stopped(container, pause === true));
  try {
    return await work();
  } finally {
    // It may have been removed meanwhile, or let go on by somebody else.
    if (paused && isPaused(container)) await container.resume();
  }
}

const isPaused = ({ status }: Container): boolean => status === 'paused';

async function stopped(container: Container, must: boolean): Promise<boolean> {
  try {
    await container.pause();
    return true;
  } catch (error) {
    if (!must && RuntsError.is(error) && ['ERR_UNSUPPORTED', 'ERR_STATE'].includes(error.code)) return false;
    throw error;
  }
}
