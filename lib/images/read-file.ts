import { Refused } from '../layers/refused.ts';
import { algorithmOf, blobPath, digestOf, wrongDigest, wrongSize } from './digest.ts';
import { documentBytesMax } from './limits.ts';
import type { Descriptor } from './manifest.ts';
import type { ImageFiles } from './source.ts';

/** The whole of a small file; undefined where there is none. */
export async function readFile(files: ImageFiles, name: string): Promise<Buffer | undefined> {
  const size = await files.size(name);
  if (size === undefined) return undefined;
  if (size > documentBytesMax) throw new Refused(`"${name}" has ${size} bytes; the limit is ${documentBytesMax}`);
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of files.open(name) as AsyncIterable<Buffer>) {
    bytes += part.length;
    if (bytes > size) throw new Refused(`"${name}" grows while it is read`);
    parts.push(part);
  }
  return Buffer.concat(parts);
}

/** Checks that the blob is there and as large as its descriptor says; its digest is checked when it is read. */
export async function checkBlob(files: ImageFiles, { digest, size }: Descriptor, what: string): Promise<void> {
  const found = await files.size(blobPath(digest));
  if (found === undefined) {
    const hint = 'It may have been saved for other platforms, or without what was there already.';
    throw new Refused(`${what} (${digest}) is not in it`, { hint });
  }
  if (found !== size) throw wrongSize(digest, found, size);
}

/** A document of an OCI layout, verified. */
export async function readBlob(files: ImageFiles, descriptor: Descriptor, what: string): Promise<Buffer> {
  await checkBlob(files, descriptor, what);
  const { digest } = descriptor;
  const bytes = (await readFile(files, blobPath(digest)))!;
  const found = digestOf(bytes, algorithmOf(digest));
  if (found !== digest) throw wrongDigest(`${what} (${digest})`, found);
  return bytes;
}
