import { imageUsers, usersOf } from './in-use.ts';
import type { ImageStore } from './store/store.ts';
import type { UnpackedLayers } from './unpacked.ts';

/** What an ephemeral runtime that has ended has left of images. */
export interface LeftImages {
  readonly store: ImageStore;
  readonly unpacked: UnpackedLayers | undefined;
  /** The directory of containers. */
  readonly containers: string;
  /** Of the runtime. */
  readonly runtime: string;
  /** Digests of what it has stored, or had begun to. */
  readonly blobs: ReadonlySet<string>;
}

/** Removes the images that went with a runtime, unless a container of somebody else uses them, and what belonged to them. */
export async function reapImages({ store, unpacked, containers, runtime, blobs }: LeftImages): Promise<void> {
  const users = await imageUsers(containers);
  const used = (await store.list()).filter((image) => usersOf(image, users).length > 0);
  await store.forget(runtime, new Set(used.flatMap(({ targets }) => targets.map(({ digest }) => digest))));
  await store.collect({ removed: blobs, inUse: users.map(({ image }) => image) });
  await collectLayers(store, unpacked);
}

/** Unpacked layers go with the images and containers that they are for. */
export async function collectLayers(store: ImageStore, unpacked: UnpackedLayers | undefined): Promise<void> {
  const since = await store.leasedSince();
  const needed = async () => (await store.list()).map(({ document }) => document.diffIds);
  await unpacked?.collect(needed, since);
}
