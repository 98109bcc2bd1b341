import { execFileSync } from 'node:child_process';
import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import type { Row } from '../row.ts';

const reference = 'runts-bench:latest';

/** A stored image, whose layers are unpacked already, against the bare root file system. */
export const image: Row = {
  key: 'image',
  title: 'create to exit, of a stored image and of a bare root file system',
  subjects: async ({ runtime, scratch, bundle: { rootfs } }) => {
    const archive = join(scratch, 'rootfs.tar');
    execFileSync('tar', ['--owner=0', '--group=0', '--numeric-owner', '-cf', archive, '-C', rootfs, '.']);
    await runtime.images.import(createReadStream(archive), { reference });
    const options = { command: ['/bin/true'], stdout: 'ignore', stderr: 'ignore' } as const;
    return [
      { name: 'runts, root file system', once: async () => void (await runtime.run({ ...options, rootfs })) },
      { name: 'runts, image', once: async () => void (await runtime.run({ ...options, image: reference })) },
    ];
  },
};
