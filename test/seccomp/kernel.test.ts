import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { callsOf } from '../../lib/seccomp/arch.ts';
import { compileSeccomp } from '../../lib/seccomp/compile.ts';
import { defaultProfile } from '../../lib/seccomp/default.ts';
import { actions } from '../../lib/seccomp/profile.ts';
import { simulate } from '../support/bpf.ts';

const count = 700;
const filter = compileSeccomp(defaultProfile({ capabilities: [], arch: 'x64' }), { arch: 'x64' });

const directory = mkdtempSync(join(tmpdir(), 'runts-i386-'));
afterAll(() => rmSync(directory, { recursive: true }));

/** What the kernel returns for the calls of i386 under the filter, or why they cannot be made here. */
function asked(): number[] | string {
  if (process.arch !== 'x64') return 'only x86_64 has the calls of i386';
  const program = join(directory, 'i386');
  const source = fileURLToPath(new URL('i386.c', import.meta.url));
  const built = spawnSync('cc', ['-O1', '-Wall', '-Werror', '-o', program, source]);
  if (built.error !== undefined) return 'there is no C compiler';
  if (built.status !== 0) throw new Error(built.stderr.toString());
  const file = join(directory, 'filter');
  writeFileSync(file, filter);
  if (spawnSync(program, [file, '1']).signal === 'SIGSEGV') return 'this kernel has no calls of i386';
  const output = execFileSync(program, [file, `${count}`]).toString();
  return output.trim().split('\n').map(Number);
}

const told = asked();
const why = typeof told === 'string' ? ` (skipped: ${told})` : '';

test.skipIf(why !== '')(`the kernel does with ${count} calls of i386 as the simulator does${why}`, () => {
  const expected = Array.from({ length: count }, (_, nr) => {
    const verdict = simulate(filter, { arch: callsOf.x86.audit, nr });
    return verdict === actions.SCMP_ACT_ALLOW.value ? -99 : -(verdict & 0xffff);
  });
  expect(told).toEqual(expected);
});
