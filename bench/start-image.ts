// npm run bench:start-image [-- --runs N --directory PATH]: `true` in a container of a bare root file system, and of a stored image
// whose layers are unpacked already, in turn. Prints medians, the least times and their ratio, until it was started, had ended and
// was removed.
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { createRuntime, type Runtime } from '../lib/index.js';

const { values } = parseArgs({
  options: { runs: { type: 'string', default: '40' }, directory: { type: 'string', default: tmpdir() } },
});
const runs = Number(values.runs);
const names = ['rootfs', 'image'] as const;
const moments = ['started', 'ended', 'removed'] as const;

async function main(): Promise<void> {
  const directory = mkdtempSync(join(values.directory, 'runts-bench-'));
  try {
    const rootfs = join(directory, 'rootfs');
    makeRootfs(rootfs);
    const archive = join(directory, 'rootfs.tar');
    execFileSync('tar', ['--owner=0', '--group=0', '--numeric-owner', '-cf', archive, '-C', rootfs, '.']);
    await using runtime = createRuntime({ root: join(directory, 'data'), state: join(directory, 'state') });
    const { createReadStream } = await import('node:fs');
    await runtime.images.import(createReadStream(archive), { reference: 'bench:latest' });
    const sources = { rootfs: { rootfs }, image: { image: 'bench:latest' } };
    const times = new Map(names.map((name) => [name, moments.map((): number[] => [])]));
    for (let i = 0; i < runs + 3; i++) {
      // What one leaves to do falls on whoever comes after it: each follows the other, and itself, as often.
      for (const name of i % 2 === 0 ? names : names.toReversed()) {
        const taken = await timed(runtime, sources[name]);
        // The first ones load code and unpack layers.
        if (i < 3) continue;
        for (const [moment, ms] of taken.entries()) times.get(name)![moment]!.push(ms);
      }
    }
    for (const [moment, what] of moments.entries()) {
      const [bare, image] = names.map((name) => times.get(name)![moment]!.sort((a, b) => a - b)) as [
        number[],
        number[],
      ];
      const shown = (of: (sorted: number[]) => number) =>
        `${of(bare).toFixed(1)} and ${of(image).toFixed(1)} ms (${(of(image) / of(bare)).toFixed(2)})`;
      console.log(
        `${what.padEnd(8)} median ${shown((sorted) => sorted[runs >> 1]!)}  least ${shown((sorted) => sorted[0]!)}`,
      );
    }
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Milliseconds from asking for a container to each of the moments. */
async function timed(runtime: Runtime, source: { rootfs: string } | { image: string }): Promise<number[]> {
  const began = performance.now();
  const since = () => performance.now() - began;
  const container = await runtime.createContainer({ ...source, command: ['/bin/true'] });
  await container.start();
  const started = since();
  await container.wait();
  const ended = since();
  await container.remove();
  return [started, ended, since()];
}

function makeRootfs(path: string): void {
  for (const name of ['bin', 'etc', 'proc', 'sys', 'dev', 'tmp']) mkdirSync(join(path, name), { recursive: true });
  copyFileSync('/bin/busybox', join(path, 'bin/busybox'));
  symlinkSync('busybox', join(path, 'bin/true'));
  writeFileSync(join(path, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\n');
  writeFileSync(join(path, 'etc/group'), 'root:x:0:\n');
}

await main();
