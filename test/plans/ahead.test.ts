import { describe, expect, test } from 'vitest';
import { planContainer } from '../../lib/plan/container.ts';
import { type DraftSpec, facts, request, rows } from './requests.ts';

describe('a container that is made ahead', () => {
  const late = (edit: (spec: DraftSpec) => void, reap: boolean) =>
    rows(planContainer(request(edit, { start: 'late', reap }), facts('root')));
  const filtered = (spec: DraftSpec, names: readonly string[] = []) => {
    spec.process.noNewPrivileges = true;
    const denied = names.map((name) => ({ names: [name], action: 'SCMP_ACT_ERRNO' as const }));
    spec.linux.seccomp = { defaultAction: 'SCMP_ACT_ALLOW', syscalls: denied };
  };
  const order = (all: readonly string[]) =>
    all
      .map((row) => row.split(' ')[0]!)
      .filter((op) => /^(find|reap|capabilities|seccomp|sync|close_from|exec)$/.test(op));

  test('waits under its filter, below its reaper, with nothing open, and nothing to be done but the exec', () => {
    const all = late((spec) => filtered(spec), true);
    expect(order(all)).toEqual(['find', 'reap', 'capabilities', 'seccomp', 'sync', 'close_from', 'exec']);
    expect(all[all.findIndex((row) => row.startsWith('seccomp')) + 1]).toBe(
      'keep_only  registers=[]  ; default: start',
    );
    expect(order(late(() => {}, false))).toEqual(['find', 'capabilities', 'sync', 'close_from', 'exec']);
  });

  test('waits before a filter that would not let it', () => {
    const all = late((spec) => filtered(spec, ['recvmsg']), true);
    expect(order(all)).toEqual(['find', 'reap', 'capabilities', 'sync', 'close_from', 'seccomp', 'exec']);
  });

  test('waits before what a filter without no_new_privs has to come before', () => {
    const all = late((spec) => {
      filtered(spec);
      spec.process.noNewPrivileges = false;
    }, true);
    expect(order(all)).toEqual(['find', 'reap', 'sync', 'close_from', 'seccomp', 'capabilities', 'exec']);
  });
});
