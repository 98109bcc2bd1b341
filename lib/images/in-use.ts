import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { readWhole } from './store/read.ts';
import type { StoredImage } from './store/store.ts';

/** A container that was made of an image. */
export interface ImageUser {
  readonly container: string;
  /** The digest of the manifest. */
  readonly image: string;
}

/** It has the configuration of the image, which is bounded, and the options of the container. */
export const recordBytesMax = 64 * 1024 * 1024;

/**
 * Which containers use which image, by what each has noted in its directory. One whose note is not there yet, or is
 * being removed, is of no image that anybody could name.
 */
export async function imageUsers(containers: string): Promise<readonly ImageUser[]> {
  const names = await readdir(containers).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  const users = await Promise.all(names.map((name) => readUser(join(containers, name), name)));
  return users.filter((user) => user !== undefined);
}

async function readUser(directory: string, container: string): Promise<ImageUser | undefined> {
  try {
    const bytes = await readWhole(join(directory, 'container.json'), recordBytesMax);
    const { image } = JSON.parse(bytes?.toString() ?? '{}') as { readonly image?: unknown };
    return typeof image === 'string' ? { container, image } : undefined;
  } catch {
    return undefined;
  }
}

/** The containers that use an image. */
export function usersOf({ id, descriptor, targets }: StoredImage, users: readonly ImageUser[]): readonly string[] {
  const digests = [id, descriptor.digest, ...targets.map(({ digest }) => digest)];
  return users.filter(({ image }) => digests.includes(image)).map(({ container }) => container);
}
