import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { createHost } from '../../lib/node/host.ts';

const { run } = createHost().processes;
const directory = mkdtempSync(join(tmpdir(), 'runts-run-'));
afterAll(() => rmSync(directory, { recursive: true }));
const sh = (script: string, options = {}) => run('/bin/sh', ['-c', script], options);

test('a program of the host runs with exactly the environment that it is given', async () => {
  const environment = ['A=1', 'B=a=b', 'EMPTY=', 'A=2', '__proto__=x', 'odd'];
  const { stdout } = await run('/usr/bin/env', [], { environment });
  expect(stdout).toBe('A=2\nB=a=b\nEMPTY=\n__proto__=x\n');
});

test('a program has the name, the directory and the session of its own that were asked for', async () => {
  const { stdout } = await run('/bin/sh', ['-c', 'echo "$0"; tr "\\0" " " </proc/$$/cmdline; echo; pwd'], {
    name: 'hook',
    cwd: directory,
  });
  expect(stdout.split('\n').slice(1, 3)).toEqual([expect.stringMatching(/^hook -c /), directory]);
  const { stdout: stat } = await sh('cut -d" " -f1,5,6 /proc/$$/stat');
  const [pid, group, session] = stat.trim().split(' ');
  expect([group, session]).toEqual([pid, pid]);
});

test('what cannot be run is told by its errno, a missing directory by its path', async () => {
  await expect(run('/bin/none', [])).rejects.toMatchObject({ code: 'ENOENT' });
  const file = join(directory, 'plain');
  writeFileSync(file, '', { mode: 0o644 });
  await expect(run(file, [])).rejects.toMatchObject({ code: 'EACCES' });
  const cwd = join(directory, 'none');
  await expect(run('/bin/true', [], { cwd })).rejects.toMatchObject({ code: 'ENOENT', syscall: 'chdir', path: cwd });
});

test('after its time everything in its group is killed', async () => {
  const marker = join(directory, 'grandchild');
  const start = Date.now();
  const result = await sh(`echo begun; (sleep 60 & echo $! >${marker}; wait) ; :`, { timeoutMs: 300 });
  expect(result).toMatchObject({ code: 137, timedOut: true, stdout: 'begun\n' });
  expect(Date.now() - start).toBeLessThan(5000);
  const state = () => {
    try {
      return readFileSync(`/proc/${readFileSync(marker, 'utf8').trim()}/stat`, 'utf8').replace(/^.*\) (.).*$/s, '$1');
    } catch {
      return 'gone';
    }
  };
  await expect.poll(state).toMatch(/^(Z|gone)$/);
});

test('a program that is in time is not late, whatever it leaves behind', async () => {
  const start = Date.now();
  const result = await sh('echo done; sleep 3 & exit 4', { timeoutMs: 2000 });
  expect(result).toEqual({ code: 4, timedOut: false, stdout: 'done\n', stderr: '' });
  expect(Date.now() - start).toBeLessThan(1500);
});

test('what a program was still to do is killed when nobody wants it any more', async () => {
  const canceler = new AbortController();
  const result = sh('sleep 60', { cancel: canceler.signal });
  setTimeout(() => canceler.abort(), 50);
  expect(await result).toMatchObject({ code: 137, timedOut: false });
  expect(await sh('sleep 60', { cancel: canceler.signal })).toMatchObject({ code: 137 });
});

test('programs leave no descriptor', async () => {
  await sh(':');
  const before = readdirSync('/proc/self/fd').length;
  for (let i = 0; i < 20; i++) await sh('sleep 1 & :', { input: 'x'.repeat(100_000) });
  await run('/bin/none', []).catch(() => undefined);
  await expect.poll(() => readdirSync('/proc/self/fd').length).toBeLessThanOrEqual(before);
}, 20_000);
