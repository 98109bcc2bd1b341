import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { temporaryDirectory } from '../support/unpacked.ts';

test('what cannot be read for want of descriptors is told so, and is neither damaged nor missing', async () => {
  const directory = await temporaryDirectory();
  const program = fileURLToPath(new URL('shortage-process.mjs', import.meta.url));
  const limited = ['-c', 'ulimit -n 64; exec "$0" "$@"', process.execPath, program, join(directory, 'x')];
  const failures: Record<string, string> = JSON.parse(execFileSync('sh', limited, { encoding: 'utf8' }));
  expect(Object.keys(failures)).toEqual(['layer', 'container', 'limits', 'volume', 'document', 'verify', 'stream']);
  for (const [what, failure] of Object.entries(failures)) {
    expect(`${what}: ${failure}`).toMatch(/: (ERR_SETUP|EMFILE) .*(EMFILE|too many open files)/);
    expect(`${what}: ${failure}`).not.toMatch(/damaged/);
  }
});
