import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { FileChunks } from '../layers/file-chunks.ts';
import { Refused } from '../layers/refused.ts';

const hexLength: Record<string, number> = { sha256: 64, sha512: 128 };

/** Refuses what is not `sha256:` or `sha512:` and exactly the right number of lower-case digits (CVE-2024-3727). */
export function checkDigest(value: unknown, what: string): string {
  const match = typeof value === 'string' ? /^([a-z0-9]+):([0-9a-f]+)$/.exec(value) : null;
  const [, algorithm, hex] = match ?? [];
  if (algorithm === undefined || !Object.hasOwn(hexLength, algorithm) || hex?.length !== hexLength[algorithm]) {
    throw new Refused(`${what} is no digest: ${shortJson(value)}`);
  }
  return value as string;
}

/** Where an OCI layout keeps the blob of that digest. */
export function blobPath(digest: string): string {
  return `blobs/${digest.replace(':', '/')}`;
}

export function digestOf(bytes: Uint8Array, algorithm = 'sha256'): string {
  return `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}`;
}

/** The digest of a stream's bytes, by the algorithm of another. */
export async function digestOfStream(stream: Readable, like: string): Promise<string> {
  const hash = createHash(algorithmOf(like));
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    hash.update(chunk);
    if (stream instanceof FileChunks) stream.pool.giveBack(chunk);
  }
  return `${algorithmOf(like)}:${hash.digest('hex')}`;
}

export function algorithmOf(digest: string): string {
  return digest.slice(0, digest.indexOf(':'));
}

/** The same stream, failing at its end when it was not exactly the bytes that were promised. */
export function verified(stream: Readable, digest: string, size: number): Readable {
  return Readable.from(check(stream, digest, size), { objectMode: false });
}

async function* check(stream: Readable, digest: string, size: number): AsyncGenerator<Buffer> {
  const hash = createHash(algorithmOf(digest));
  let bytes = 0;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > size) throw wrongSize(digest, bytes, size);
    hash.update(chunk);
    yield chunk;
  }
  if (bytes !== size) throw wrongSize(digest, bytes, size);
  const found = `${algorithmOf(digest)}:${hash.digest('hex')}`;
  if (found !== digest) throw wrongDigest(`the blob ${digest}`, found);
}

export const damagedHint = 'The archive was damaged or altered; get it again.';

export function wrongSize(digest: string, found: number, size: number): Refused {
  return new Refused(`the blob ${digest} has ${found} bytes or more, and should have ${size}`, { hint: damagedHint });
}

export function wrongDigest(what: string, found: string): Refused {
  return new Refused(`${what} has the wrong digest: its content is ${found}`, { hint: damagedHint });
}

/** A value of somebody else's for a message. */
export function shortJson(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 100 ? `${text.slice(0, 100)}…` : text;
}
