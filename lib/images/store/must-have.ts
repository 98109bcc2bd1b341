import { RuntsError } from '../../errors.ts';
import type { BlobId, ImageStore } from './store.ts';

/** Refuses to make something of an image that lacks a blob. */
export async function mustHave(store: ImageStore, blob: BlobId): Promise<void> {
  if (await store.has(blob)) return;
  throw new RuntsError('ERR_IMAGE', `the blob ${blob.digest} of the image is not in the store`, {
    hint: 'Pull or load the image again.',
  });
}
