// A build step that sees its sources, read-only, and neither a network nor anything else: node examples/build.js
// prints: built: HELLO
// prints: nothing but lo: true
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from 'runts';

const sources = await mkdtemp(join(tmpdir(), 'sources-'));
try {
  // Root's containers have other ids than root: what they are to read is for everybody.
  await chmod(sources, 0o755);
  await writeFile(join(sources, 'main.txt'), 'hello');
  /** @param {readonly string[]} command */
  const step = (command) =>
    run({
      host: true,
      command,
      cwd: '/build',
      mounts: [
        { type: 'bind', source: sources, target: '/sources', readonly: true },
        { type: 'tmpfs', target: '/build', size: '64m' },
      ],
      timeout: 60_000,
    });
  const built = await step(['sh', '-ec', 'tr a-z A-Z < /sources/main.txt > out; cat out']);
  console.log('built:', built.stdout);
  const devices = await step(['sh', '-c', 'tail -n +3 /proc/net/dev | cut -d : -f 1']);
  console.log('nothing but lo:', devices.stdout.trim() === 'lo');
} finally {
  await rm(sources, { recursive: true });
}
