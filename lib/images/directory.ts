import { createReadStream } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { chunkBytes } from '../layers/chunk-pool.ts';
import { Refused } from '../layers/refused.ts';
import type { ImageFiles } from './source.ts';

/** The files of an OCI layout that is a directory; names come from digests or are fixed, and cannot climb. */
export function directoryFiles(directory: string): ImageFiles {
  return {
    size: async (name) => {
      const stats = await stat(join(directory, name)).catch((error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined;
        throw error;
      });
      // A fifo would keep a reader waiting for ever.
      if (stats !== undefined && !stats.isFile()) throw new Refused(`"${name}" is not a file`);
      return stats?.size;
    },
    open: (name) => createReadStream(join(directory, name), { highWaterMark: chunkBytes }),
    top: () => readdir(directory),
    close: async () => {},
  };
}
