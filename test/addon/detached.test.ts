import { readFileSync } from 'node:fs';
import { expect } from 'vitest';
import { processes } from '../../lib/node/processes.ts';
import { namespaceFlags } from '../../lib/spec/names.ts';
import { testIf } from '../support/requires.ts';

const stateOf = (pid: number): string => readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /, '')[0]!;

testIf('userns')('of a process that is for others to collect we know how it ended, and they still can', async () => {
  const session = await processes.spawn({ flags: namespaceFlags.user, detached: true });
  const { pid, process } = session;
  processes.signal(process, 9);
  session.close();
  expect(await session.exit).toEqual({ code: undefined, signal: 9 });
  expect(stateOf(pid)).toBe('Z');
  process.close();
});

testIf('userns')('one that is ours is collected', async () => {
  const session = await processes.spawn({ flags: namespaceFlags.user });
  const { pid, process } = session;
  processes.signal(process, 9);
  session.close();
  expect(await session.exit).toEqual({ code: undefined, signal: 9 });
  expect(() => stateOf(pid)).toThrow('ENOENT');
  process.close();
});
