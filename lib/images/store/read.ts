import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { RuntsError } from '../../errors.ts';

/** The whole of a small file; undefined where there is none. */
export async function readWhole(path: string, bytesMax: number): Promise<Buffer | undefined> {
  // Not to wait for the writer of a fifo.
  const flags = constants.O_RDONLY | constants.O_NONBLOCK;
  const file = await open(path, flags).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (file === undefined) return undefined;
  try {
    const stats = await file.stat();
    if (!stats.isFile()) throw new RuntsError('ERR_IMAGE', `${path} is not a file`);
    const tooLarge = () => new RuntsError('ERR_IMAGE', `${path} has more than ${bytesMax} bytes`);
    if (stats.size > bytesMax) throw tooLarge();
    // One byte more than it should have tells of one that grows.
    const buffer = Buffer.alloc(stats.size + 1);
    let length = 0;
    for (;;) {
      const { bytesRead } = await file.read(buffer, length, buffer.length - length, length);
      length += bytesRead;
      if (bytesRead === 0) return buffer.subarray(0, length);
      if (length === buffer.length) throw tooLarge();
    }
  } finally {
    await file.close();
  }
}
