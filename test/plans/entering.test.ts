import { expect, test } from 'vitest';
import { planExec } from '../../lib/plan/exec.ts';
import type { Spec } from '../../lib/spec/types.ts';
import { facts, request } from './requests.ts';

test('a later command enters those of a container of ours by its pidfd, and waits for nobody who has nothing to do', () => {
  const { spec } = request((asked) => {
    asked.process.capabilities = {};
    asked.process.args = ['/bin/true'];
    asked.process.env = ['A=1'];
  });
  const process = spec.process as NonNullable<Spec['process']>;
  const namespaces = new Set(['user', 'mount', 'pid'] as const);
  const how = { pid: undefined, atOnce: true, namespaces, stdio: 'pipes', ownStdio: false } as const;
  const plan = planExec({ id: 'demo', spec, process, ...how }, facts('root'));
  expect(plan.inputs.map(({ kind }) => kind)).toEqual(['stdio', 'stdio', 'stdio', 'process']);
  const names = plan.segment.ops.map(({ op }) => op);
  expect(names.slice(0, 3)).toEqual(['undumpable', 'join_process', 'become_root']);
  expect(names).toContain('keep_only');
  expect(names).not.toContain('sync');
});
