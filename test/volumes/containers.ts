import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createGzip } from 'node:zlib';
import { onTestFinished } from 'vitest';
import { createRuntime, type Runtime, type RuntimeOptions } from '../../lib/index.ts';
import { type Member, tar } from '../support/archives.ts';
import { removeData } from '../support/remove-data.ts';

const busybox: Member[] = [
  { name: 'bin/' },
  { name: 'bin/busybox', content: readFileSync('/bin/busybox'), mode: 0o755 },
  ...[
    'sh',
    'cat',
    'ls',
    'rm',
    'sleep',
    'echo',
    'mkdir',
    'stat',
    'touch',
    'id',
    'readlink',
    'chown',
    'wc',
    'head',
    'df',
    'find',
  ].map((name): Member => ({ name: `bin/${name}`, type: '2', link: 'busybox' })),
  { name: 'etc/passwd', content: 'root:x:0:0::/root:/bin/sh\n' },
];

export interface TemporaryRuntime extends Runtime {
  readonly data: string;
  readonly directory: string;
}

/** A runtime with a data directory of its own, which goes with the test. */
export async function temporaryRuntime(options: RuntimeOptions = {}): Promise<TemporaryRuntime> {
  const directory = mkdtempSync(join(tmpdir(), 'runts-test-'));
  // The containers' users are to get in, whoever runs this.
  chmodSync(directory, 0o755);
  // Where the command line has it, with the directory as XDG_DATA_HOME.
  const data = join(directory, 'runts');
  const runtime = createRuntime({ root: data, state: join(directory, 'state'), ...options });
  onTestFinished(async () => {
    await runtime[Symbol.asyncDispose]();
    await removeData(data);
    rmSync(directory, { recursive: true, force: true });
  });
  return Object.assign(runtime, { data, directory }) as TemporaryRuntime;
}

/** An image with a shell, more files, and volumes, by the name `app`. */
export async function imageWith(
  runtime: Runtime,
  members: readonly Member[],
  volumes: readonly string[] = [],
  name = 'app',
): Promise<void> {
  const changes = ['CMD ["/bin/sh"]', 'ENV PATH=/bin', ...volumes.map((path) => `VOLUME ${path}`)];
  const archive = createGzip();
  archive.end(tar(...busybox, ...members));
  await runtime.images.import(archive, { reference: name, changes });
}
