import { RuntsError } from '../../errors.ts';
import type { Repository } from '../registry/repository.ts';
import { Backoff } from '../registry/retry.ts';
import type { Timing } from '../registry/timing.ts';
import type { BlobId, Ingest } from '../store/ingest.ts';
import type { ImageStore } from '../store/store.ts';
import { BlobProgress, type OnProgress } from './progress.ts';

export interface DownloadOptions {
  readonly timing: Timing;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: OnProgress | undefined;
  /** It is unpacked afterwards: this is not yet the end of it. */
  readonly isUnpacked?: boolean | undefined;
}

/** So much is a gain: with less between them, failures are failures in a row. */
const gainBytes = 1024 * 1024;

/** Brings a blob from a repository into the store, or goes on with what is there of it. */
export async function download(
  repository: Repository,
  store: ImageStore,
  blob: BlobId,
  { timing, signal, onProgress, isUnpacked }: DownloadOptions,
): Promise<'exists' | 'done'> {
  const progress = new BlobProgress(blob, onProgress);
  // Bytes of an earlier attempt, or of a mirror, may be wrong: then all of it is read once more, from elsewhere.
  for (let isAnew = false; ; ) {
    const ingest = await store.ingest(blob, { signal });
    try {
      if (ingest.exists) {
        await progress.phase('exists', blob.size);
        return 'exists';
      }
      const isWhole = ingest.offset === 0;
      await receive(repository, ingest, blob, progress, new Backoff(timing, signal, progress.retrying));
      await progress.phase('verifying', blob.size);
      if (await isCommitted(ingest, repository, blob, isWhole || isAnew)) {
        await progress.phase(isUnpacked === true ? 'downloaded' : 'done', blob.size);
        return 'done';
      }
      isAnew = isWhole;
      await progress.retrying('what came has the wrong digest', 0);
    } finally {
      await ingest.close();
    }
  }
}

async function receive(
  repository: Repository,
  ingest: Ingest,
  blob: BlobId,
  progress: BlobProgress,
  backoff: Backoff,
): Promise<void> {
  await progress.phase('downloading', ingest.offset);
  while (ingest.offset < blob.size) {
    const before = ingest.offset;
    try {
      for await (const chunk of (await repository.blob(blob, before)) as AsyncIterable<Buffer>) {
        await ingest.write(chunk);
        await progress.bytes('downloading', ingest.offset);
      }
    } catch (error) {
      if (ingest.offset - before >= gainBytes) backoff.reset();
      await backoff.wait(error);
    }
  }
}

/** False where it is worth to get it again: the bytes were not all of one source, or there is another. */
async function isCommitted(ingest: Ingest, repository: Repository, blob: BlobId, isFinal: boolean): Promise<boolean> {
  const host = repository.sourceOf(blob);
  try {
    await ingest.commit();
    return true;
  } catch (error) {
    if (!RuntsError.is(error) || error.code !== 'ERR_IMAGE') throw error;
    const hasOther = repository.reject(blob);
    if (hasOther || !isFinal) return false;
    throw new RuntsError('ERR_IMAGE', `${host} sent wrong bytes for a blob of ${repository.name}: ${error.message}`, {
      cause: error,
      hint: 'Nothing of it was kept. The registry is damaged, or something on the way alters what passes.',
    });
  }
}
