import type { Host } from '../host/host.ts';

/** As long as docker's. */
const idBytes = 32;
/** To make one by itself takes nearly as long as to make all of these. */
const idsAtOnce = 32;

/** Names that nobody can guess: 64 hexadecimal digits. */
export function newIds(host: Pick<Host, 'random'>): () => string {
  const ids: string[] = [];
  return () => {
    if (ids.length === 0) {
      const text = Buffer.from(host.random(idsAtOnce * idBytes)).toString('hex');
      for (let at = 0; at < text.length; at += 2 * idBytes) ids.push(text.slice(at, at + 2 * idBytes));
    }
    return ids.pop()!;
  };
}
