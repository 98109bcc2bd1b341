import { join } from 'node:path';
import type { Descriptor } from '../../lib/images/manifest.ts';
import { ImageStore } from '../../lib/images/store/store.ts';
import * as archives from './archives.ts';
import { temporaryDirectory } from './unpacked.ts';

/** A store in a directory of its own, which goes with the test. */
export async function temporaryStore(): Promise<ImageStore> {
  return ImageStore.open(join(await temporaryDirectory(), 'images'));
}

export const layerOf = (content: string): Buffer => archives.tar({ name: 'file', content });

/** An image of layers that say something, put into the store without a name; what it leads to. */
export async function putImage(store: ImageStore, ...contents: string[]): Promise<Descriptor> {
  return putFiles(store, archives.ociImage({ layers: contents.map(layerOf) }));
}

/** The blobs of an image, and the descriptor that leads to them. */
export async function putFiles(store: ImageStore, { files, descriptor }: archives.OciImage): Promise<Descriptor> {
  for (const content of Object.values(files)) await store.put(Buffer.from(content), '');
  return { platform: undefined, annotations: {}, ...descriptor } as unknown as Descriptor;
}
