import { basename, dirname } from 'node:path';
import type { Host } from '../host/host.ts';
import { TreeReader } from '../layers/tree-reader.ts';
import type { Maps } from '../plan/plan.ts';

/** Bytes in the files below a directory, also one that is closed to us, whoever owns them; one with several names counts once. */
export async function bytesBelow(host: Host, directory: string, maps: Maps | undefined): Promise<number> {
  const reader = await TreeReader.open(host, { directory: dirname(directory), maps });
  try {
    const seen = new Set<bigint>();
    const pending = [basename(directory)];
    let bytes = 0;
    for (let path = pending.pop(); path !== undefined; path = pending.pop()) {
      for (const { name, type, size, links, inode } of await reader.list(path)) {
        if (type === 'directory') pending.push(`${path}/${name}`);
        if (type !== 'file' || (links > 1 && seen.has(inode))) continue;
        if (links > 1) seen.add(inode);
        bytes += size;
      }
    }
    return bytes;
  } finally {
    await reader.close();
  }
}
