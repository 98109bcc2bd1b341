import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { dockerFiles, type Member, packFiles, tar } from './archives.ts';

const busybox = '/bin/busybox';

/** What else is in the image, and what its configuration says. */
export interface BusyboxOptions {
  readonly entries?: readonly Member[];
  readonly config?: Record<string, unknown>;
}

/** An image of busybox in a directory of its own, which has a private place for data beside it; where there is busybox. */
export function busyboxImage({ entries = [], config = {} }: BusyboxOptions = {}) {
  const directory = mkdtempSync(join(tmpdir(), 'runts-test-'));
  chmodSync(directory, 0o755);
  mkdirSync(join(directory, 'runts'), { mode: 0o700 });
  const path = join(directory, 'image.tar');
  if (!existsSync(busybox)) return { directory, path };
  const names = execFileSync(busybox, ['--list'], { encoding: 'utf8' }).trim().split('\n');
  const layer = tar(
    ...[{ name: 'bin/' }, { name: 'bin/busybox', content: readFileSync(busybox), mode: 0o755 }],
    ...names.filter((name) => name !== 'busybox').map((name) => ({ name: `bin/${name}`, type: '2', link: 'busybox' })),
    ...['proc/', 'sys/', 'dev/', 'etc/', 'tmp/'].map((name) => ({ name })),
    ...entries,
  );
  writeFileSync(path, packFiles(dockerFiles({ layers: [layer], config })));
  return { directory, path };
}
