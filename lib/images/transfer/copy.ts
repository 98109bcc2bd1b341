import { RuntsError } from '../../errors.ts';
import { thisPlatform } from '../archive.ts';
import type { Descriptor } from '../manifest.ts';
import { type Reference, showReference } from '../reference.ts';
import { RegistryClient } from '../registry/client.ts';
import type { Credentials } from '../registry/credentials.ts';
import type { Repository } from '../registry/repository.ts';
import type { Platform } from '../source.ts';
import type { BlobId } from '../store/ingest.ts';
import { allDocuments, blobsOf, type Documents, documentsOf, parseDocument } from './documents.ts';
import { type Pushed, type PushOptions, sendBlobs, sendDocuments } from './push.ts';
import { stoppable } from './several.ts';

export interface CopyOptions extends Omit<PushOptions, 'auth'> {
  /** The images for all platforms; else the one for `platform`, alone. */
  readonly allPlatforms?: boolean | undefined;
  /** Default this machine's. */
  readonly platform?: Platform | undefined;
  readonly fromAuth?: Credentials | undefined;
  readonly toAuth?: Credentials | undefined;
}

/** Copies an image from registry to registry: nothing is unpacked, and nothing is kept here. */
export async function copy(from: Reference, to: Reference, options: CopyOptions): Promise<Pushed> {
  const { tag } = to;
  if (tag === undefined || to.digest !== undefined) {
    throw new RuntsError('ERR_SPEC', `cannot copy to ${showReference(to)}: an image is copied to a tag`);
  }
  const { config, fromAuth, toAuth } = options;
  const name = showReference(from);
  return stoppable(options.signal, `copying ${name}`, async (stop) => {
    const readers = new RegistryClient({ config, auth: fromAuth, signal: stop.signal });
    const writers = new RegistryClient({ config, auth: toAuth, signal: stop.signal });
    try {
      const source = readers.repository(from);
      const target = writers.repository(to, 'push');
      const documents = await readDocuments(source, from, options);
      const neighbour = from.domain === to.domain && from.path !== to.path ? from.path : undefined;
      // The registry that receives a blob checks its digest.
      const open = (blob: BlobId) => (offset: number) => source.blob(blob, offset);
      await sendBlobs(target, blobsOf(documents.all, name), open, neighbour, options, stop);
      return { reference: showReference(to), descriptor: await sendDocuments(target, documents, tag) };
    } finally {
      readers.close();
      writers.close();
    }
  });
}

async function readDocuments(source: Repository, from: Reference, options: CopyOptions): Promise<Documents> {
  const { allPlatforms = false, platform = thisPlatform() } = options;
  const name = showReference(from);
  const read = async ({ digest }: Descriptor) => (await source.manifest(digest)).bytes;
  const { descriptor, bytes } = await source.manifest(from.digest ?? from.tag!);
  const top = parseDocument(descriptor, bytes, name);
  if (allPlatforms) return allDocuments(top, read, name);
  const { all } = await documentsOf(top, platform, read, name);
  return { top: all[0]!, all: all.slice(0, 1) };
}
