import { describe, expect, test } from 'vitest';
import { type ExecRequest, planExec } from '../../lib/plan/exec.ts';
import { planAhead } from '../../lib/plan/exec-ahead.ts';
import type { Segment } from '../../lib/plan/plan.ts';
import { encode } from '../../lib/program/encode.ts';
import type { Op } from '../../lib/program/ops.ts';
import { verify } from '../../lib/program/verify.ts';
import type { Process } from '../../lib/spec/types.ts';
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
  const process = spec.process as Process;
  const plan = planExec({ ...enters, id: 'demo', spec, process, atOnce: true }, facts('root'));
  expect(plan.inputs.map(({ kind }) => kind)).toEqual(['stdio', 'stdio', 'stdio', 'process']);
  const names = plan.segment.ops.map(({ op }) => op);
  expect(names.slice(0, 3)).toEqual(['undumpable', 'join_process', 'become_root']);
  expect(names).toContain('keep_only');
  expect(names).not.toContain('sync');
});

test.each([
  ['/', []],
  ['/.', []],
  ['/../..', []],
  ['//work/./a/', ['work/a']],
  ['/work/../a', ['work/../a']],
])('its working directory %s is made where it is none that is there', (cwd, made) => {
  const { spec } = request((asked) => {
    asked.process.capabilities = {};
  });
  const process = { ...(spec.process as Process), cwd };
  const { ops } = planExec({ ...enters, id: 'demo', spec, process, atOnce: true }, facts('root')).segment;
  expect(ops.flatMap((op) => (op.op === 'directory' ? [op.operands.path] : []))).toEqual(made);
});

describe('one that is made ahead of whichever command', () => {
  const denied = (name: string) => [{ names: [name], action: 'SCMP_ACT_ERRNO' as const }];
  const asked = (edit: (spec: DraftSpec) => void = () => {}): ExecRequest => {
    const { spec } = request((asked) => {
      asked.process.capabilities = {};
      asked.process.args = ['first'];
      asked.process.cwd = '/first';
      asked.linux.seccomp = { defaultAction: 'SCMP_ACT_ALLOW', syscalls: denied('mount') };
      edit(asked);
    });
    return { ...enters, id: 'demo', spec, process: spec.process as Process, ahead: true };
  };
  const made = (edit?: (spec: DraftSpec) => void) => planAhead(asked(edit), facts('root'));
  const names = ({ ops }: Segment) => ops.map(({ op }) => op);
  const command = { args: ['second', 'argument'], env: ['PATH=/a:/b', 'A=1', 'A=2'], cwd: '/work' };

  test('waits with its filter and out of sight, and only then goes where it is to be, and looks for what it is to be', () => {
    const { plan, rest } = made()!;
    expect(names(plan.segment).slice(-3)).toEqual(['seccomp', 'keep_only', 'next_program']);
    expect(names(rest(command))).toEqual('chdir find fork new_session close_from exec'.split(' '));
    expect(names(rest({ ...command, cwd: '/' }))[0]).toBe('find');
    const { ops } = rest(command);
    const files = ['/a/second', '/b/second'];
    expect(ops[0]).toMatchObject({ operands: { path: '/work' } });
    expect(ops[1]).toMatchObject({ operands: { files } });
    expect(ops.at(-1)).toMatchObject({ operands: { files, argv: command.args, env: ['PATH=/a:/b', 'A=2'] } });
  });

  test('does and opens nothing that depends on the command, and makes nothing in the container', () => {
    const { segment } = made()!.plan;
    expect(JSON.stringify(segment, (_, value) => (typeof value === 'bigint' ? String(value) : value))).not.toContain(
      'first',
    );
    for (const name of ['find', 'directory', 'exec', 'fork', 'sync']) expect(names(segment)).not.toContain(name);
  });

  test('is, both together, what the plan of that command says', () => {
    const limited = (spec: DraftSpec) => {
      spec.process.rlimits = [{ type: 'RLIMIT_FSIZE', soft: 1, hard: 1 }];
    };
    for (const edit of [undefined, limited]) {
      const { plan, rest } = made(edit)!;
      const before = plan.segment.ops.slice(0, -1);
      const process = { ...asked(edit).process, ...command };
      const { ops } = planExec({ ...asked(edit), process }, facts('root')).segment;
      const withoutLooking = (all: readonly Op[]) => all.filter(({ op }) => op !== 'find');
      const isWait = ({ op }: Op) => op === 'sync';
      expect(withoutLooking([...before, ops.find(isWait)!, ...rest(command).ops])).toEqual(withoutLooking(ops));
      for (const program of [plan.segment, rest(command)]) expect(verify(encode(program))).toBeUndefined();
    }
  });

  test.each(['chdir', 'openat2'])('gets a filter that denies it %s only with the rest', (name) => {
    const { plan, rest } = made((spec) => {
      spec.linux.seccomp = { defaultAction: 'SCMP_ACT_ALLOW', syscalls: denied(name) };
    })!;
    expect(names(plan.segment)).not.toContain('seccomp');
    expect(names(rest(command)).slice(-4)).toEqual(['new_session', 'close_from', 'seccomp', 'exec']);
  });

  test('is none where a filter that nobody is to have without its rights must come first', () => {
    const plan = made((spec) => {
      spec.process.noNewPrivileges = false;
      spec.linux.seccomp = { defaultAction: 'SCMP_ACT_ALLOW', syscalls: denied('chdir') };
    });
    expect(plan).toBeUndefined();
  });
});
