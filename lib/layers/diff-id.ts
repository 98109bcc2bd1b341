import { createHash, type Hash } from 'node:crypto';
import { showName } from './entry-name.ts';
import { Refused } from './refused.ts';

/** What the uncompressed bytes of a layer go through. */
export function hashFor(diffId: string): Hash {
  const algorithm = /^(sha256|sha512):/.exec(diffId)?.[1];
  if (algorithm === undefined) throw new Refused(`its digest ${showName(diffId)} is of no known kind`);
  return createHash(algorithm);
}

/** The bytes were those that the image's configuration means. */
export function checkDiffId(hash: Hash, diffId: string): void {
  const found = `${diffId.slice(0, diffId.indexOf(':'))}:${hash.digest('hex')}`;
  if (found === diffId) return;
  const hint = 'The archive was damaged or altered; get it again.';
  throw new Refused(`its content has the digest ${found}, but the image's configuration says ${diffId}`, { hint });
}
