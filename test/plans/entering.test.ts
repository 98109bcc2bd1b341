import { describe, expect, test } from 'vitest';
import { type ExecRequest, planExec } from '../../lib/plan/exec.ts';
import type { Plan } from '../../lib/plan/plan.ts';
import type { Spec } from '../../lib/spec/types.ts';
import { type DraftSpec, facts, request } from './requests.ts';

const enters: Pick<ExecRequest, 'pid' | 'namespaces' | 'stdio' | 'ownStdio'> = {
  pid: undefined,
  namespaces: new Set(['user', 'mount', 'pid']),
  stdio: 'pipes',
  ownStdio: false,
};

test('a later command enters those of a container of ours by its pidfd, and waits for nobody who has nothing to do', () => {
  const { spec } = request((asked) => {
    asked.process.capabilities = {};
    asked.process.args = ['/bin/true'];
    asked.process.env = ['A=1'];
  });
  const process = spec.process as NonNullable<Spec['process']>;
  const plan = planExec({ ...enters, id: 'demo', spec, process, atOnce: true }, facts('root'));
  expect(plan.inputs.map(({ kind }) => kind)).toEqual(['stdio', 'stdio', 'stdio', 'process']);
  const names = plan.segment.ops.map(({ op }) => op);
  expect(names.slice(0, 3)).toEqual(['undumpable', 'join_process', 'become_root']);
  expect(names).toContain('keep_only');
  expect(names).not.toContain('sync');
});

describe('one that is made ahead', () => {
  const made = (edit: (spec: DraftSpec) => void = () => {}): Plan => {
    const { spec } = request((asked) => {
      asked.process.capabilities = {};
      asked.process.args = ['/bin/true'];
      asked.process.cwd = '/work';
      asked.linux.seccomp = { defaultAction: 'SCMP_ACT_ALLOW', syscalls: denied('mount') };
      edit(asked);
    });
    const process = spec.process as NonNullable<Spec['process']>;
    return planExec({ ...enters, id: 'demo', spec, process, ahead: true }, facts('root'));
  };
  const denied = (name: string) => [{ names: [name], action: 'SCMP_ACT_ERRNO' as const }];
  const names = (plan: Plan) => plan.segment.ops.map(({ op }) => op);
  const rest = (plan: Plan, name: string) => names(plan).slice(names(plan).indexOf(name as 'sync'));

  test('waits with its filter and out of sight, and then goes where it is to be once more', () => {
    expect(rest(made(), 'seccomp')).toEqual('seccomp keep_only sync chdir fork new_session close_from exec'.split(' '));
    const atRoot = made((spec) => {
      spec.process.cwd = '/';
    });
    expect(rest(atRoot, 'sync')).toEqual('sync fork new_session close_from exec'.split(' '));
  });

  test('makes nothing in the container, whose directory may be gone for a reason', () => {
    expect(names(made())).not.toContain('directory');
  });

  test('gets a filter that denies what it does after the wait only then', () => {
    const plan = made((spec) => {
      spec.linux.seccomp = { defaultAction: 'SCMP_ACT_ALLOW', syscalls: denied('chdir') };
    });
    expect(rest(plan, 'keep_only')).toEqual('keep_only sync chdir fork new_session close_from seccomp exec'.split(' '));
  });

  test('is in the container when it waits, where a filter that nobody is to have without its rights must come first', () => {
    const plan = made((spec) => {
      spec.process.noNewPrivileges = false;
      spec.linux.seccomp = { defaultAction: 'SCMP_ACT_ALLOW', syscalls: denied('chdir') };
    });
    expect(names(plan).indexOf('fork')).toBeLessThan(names(plan).indexOf('sync'));
  });
});
