// npm run bench:start-image [-- --runs N]: `true` in a container of a stored image, whose layers are unpacked already, against
// one of a bare root file system, in turn. Prints medians, the least times, and their ratio.
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { createRuntime } from '../lib/index.js';

const { values } = parseArgs({ options: { runs: { type: 'string', default: '40' } } });
const runs = Number(values.runs);

async function main(): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'runts-bench-'));
  try {
    const rootfs = join(directory, 'rootfs');
    makeRootfs(rootfs);
    const archive = join(directory, 'rootfs.tar');
    execFileSync('tar', ['--owner=0', '--group=0', '--numeric-owner', '-cf', archive, '-C', rootfs, '.']);
    await using runtime = createRuntime({ root: join(directory, 'data'), state: join(directory, 'state') });
    const { createReadStream } = await import('node:fs');
    await runtime.images.import(createReadStream(archive), { reference: 'bench:latest' });
    const command = ['/bin/true'];
    const subjects = {
      rootfs: () => runtime.run({ rootfs, command }),
      image: () => runtime.run({ image: 'bench:latest', command }),
    };
    const names = Object.keys(subjects) as (keyof typeof subjects)[];
    const times: Record<keyof typeof subjects, number[]> = { rootfs: [], image: [] };
    for (let i = 0; i < runs + 3; i++) {
      for (const name of names) {
        const start = performance.now();
        await subjects[name]();
        // The first ones load code and unpack layers.
        if (i >= 3) times[name].push(performance.now() - start);
      }
    }
    const sorted = (name: keyof typeof subjects) => times[name].sort((a, b) => a - b);
    for (const name of names) {
      const [median, base] = [name, 'rootfs' as const].map((each) => sorted(each)[Math.floor(runs / 2)]!) as [
        number,
        number,
      ];
      const [least, leastBase] = [sorted(name)[0]!, sorted('rootfs')[0]!];
      console.log(
        `${name.padEnd(7)} median ${median.toFixed(1)} ms (${(median / base).toFixed(2)})  least ${least.toFixed(1)} ms (${(least / leastBase).toFixed(2)})`,
      );
    }
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function makeRootfs(path: string): void {
  for (const name of ['bin', 'etc', 'proc', 'sys', 'dev', 'tmp']) mkdirSync(join(path, name), { recursive: true });
  copyFileSync('/bin/busybox', join(path, 'bin/busybox'));
  symlinkSync('busybox', join(path, 'bin/true'));
  writeFileSync(join(path, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\n');
  writeFileSync(join(path, 'etc/group'), 'root:x:0:\n');
}

await main();
