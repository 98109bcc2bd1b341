import { execFileSync } from 'node:child_process';
import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import type { Row } from '../row.ts';

const reference = 'runts-bench:latest';

/** A stored image, whose layers are unpacked already, against the bare root file system: its end and its removal are not in it. */
export const image: Row = {
  key: 'image',
  title: 'create to start, of a stored image and of a bare root file system',
  subjects: async ({ runtime, scratch, bundle: { rootfs } }) => {
    const archive = join(scratch, 'rootfs.tar');
    execFileSync('tar', ['--owner=0', '--group=0', '--numeric-owner', '-cf', archive, '-C', rootfs, '.']);
    await runtime.images.import(createReadStream(archive), { reference });
    const started = async (source: { rootfs: string } | { image: string }): Promise<number> => {
      const began = performance.now();
      const options = { command: ['/bin/true'], stdout: 'ignore', stderr: 'ignore' } as const;
      await using container = await runtime.createContainer({ ...source, ...options });
      await container.start();
      const ms = performance.now() - began;
      await container.wait();
      return ms;
    };
    return [
      { name: 'runts, root file system', once: () => started({ rootfs }) },
      { name: 'runts, image', once: () => started({ image: reference }) },
    ];
  },
};
