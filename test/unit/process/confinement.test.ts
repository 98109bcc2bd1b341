import { describe, expect, test } from 'vitest';
import { execute, type Start } from '../../../lib/process/exec.ts';
import { runHooks } from '../../../lib/process/hooks.ts';
import { setLabels } from '../../../lib/process/labels.ts';
import { raiseRlimits, setFirstRlimits, setLastRlimits } from '../../../lib/process/limits.ts';
import { Builder } from '../../../lib/program/builder.ts';
import { decodeUtf8 } from '../../../lib/program/utf8.ts';

describe('hooks in the container’s namespaces', () => {
  const hooked = (hook: object) => {
    const ops = new Builder();
    runHooks(ops, 'startContainer', [{ path: '/bin/hook', ...hook }], { state: 'state', env: ['A=1'] });
    return ops.segment().ops[0];
  };

  test('have the environment that they say, or else that of the command', () => {
    expect(hooked({})).toMatchObject({ origin: '/hooks/startContainer/0', operands: { env: ['A=1'], stdin: 'state' } });
    expect(hooked({ env: [] })?.operands).toMatchObject({ env: [] });
    expect(hooked({ env: ['B=2'] })?.operands).toMatchObject({ env: ['B=2'] });
  });

  test('have a first argument, and a time in milliseconds', () => {
    expect(hooked({})?.operands).toMatchObject({ argv: ['/bin/hook'], timeout: 0 });
    expect(hooked({ args: ['me', 'x'], timeout: 3 })?.operands).toMatchObject({ argv: ['me', 'x'], timeout: 3000 });
    expect(hooked({ timeout: 0x7fffffff })?.operands).toMatchObject({ timeout: 0xffffffff });
  });
});

describe('labels', () => {
  const written = (labels: object) => {
    const ops = new Builder();
    setLabels(ops, () => 'proc', labels);
    return ops.segment().ops.map(({ operands, unless }) => {
      const { path, content } = operands as { readonly path: string; readonly content: Uint8Array };
      return [path, decodeUtf8(content), unless?.join()];
    });
  };

  test('a profile of AppArmor goes to its own file, or to the one that it shares', () => {
    expect(written({ apparmorProfile: 'docker-default' })).toEqual([
      ['self/attr/apparmor/exec', 'exec docker-default', 'ENOENT'],
      ['self/attr/exec', 'exec docker-default', undefined],
    ]);
  });

  test('to be unconfined is no error where nothing confines', () => {
    expect(written({ apparmorProfile: 'unconfined' })[1]?.[2]).toBe('ENOENT,EINVAL,EACCES,EPERM');
    expect(written({ apparmorProfile: '', selinuxLabel: '' })).toEqual([]);
  });

  test('a label of SELinux is the command’s, and its keyring’s', () => {
    expect(written({ selinuxLabel: 'a:b:c:d' })).toEqual([
      ['self/attr/exec', 'a:b:c:d', undefined],
      ['self/attr/keycreate', 'a:b:c:d', undefined],
    ]);
  });
});

describe('limits of a command that is started later', () => {
  const set = (policy: typeof setFirstRlimits, soft: number, hard: number, type = 'RLIMIT_NOFILE') => {
    const ops = new Builder();
    policy(ops, [{ type, soft, hard }]);
    return ops.segment().ops.map(({ operands }) => {
      const { soft, hard } = operands as { readonly soft: bigint; readonly hard: bigint };
      return [Number(soft), Number(hard)];
    });
  };

  test('are set before it waits, so that what is refused is refused at create', () => {
    expect(set(setFirstRlimits, 1, 2, 'RLIMIT_CORE')).toEqual([[1, 2]]);
    expect(set(setLastRlimits, 1, 2, 'RLIMIT_CORE')).toEqual([]);
  });

  test('on descriptors bind it only when it needs no more: waiting takes some', () => {
    expect(set(setFirstRlimits, 5, 1000)).toEqual([[1000, 1000]]);
    expect(set(setLastRlimits, 5, 1000)).toEqual([[5, 1000]]);
    expect(set(setFirstRlimits, 5, 5)).toEqual([]);
    expect(set(setLastRlimits, 5, 5)).toEqual([[5, 5]]);
    expect(set(setLastRlimits, 1000, 1000)).toEqual([]);
  });

  test('are raised while that may be done, and never lowered there', () => {
    expect(set(raiseRlimits, 5, 1_000_000)).toEqual([[1_000_000, 1_000_000]]);
    expect(set(raiseRlimits, 5, 5)).toEqual([]);
    expect(set(raiseRlimits, 5, 5, 'RLIMIT_FSIZE')).toEqual([]);
  });
});

describe('the last ops', () => {
  const start = (ops: Builder, hooks: boolean): Start => ({
    wait: () => ops.op('sync', { tag: 1 }, 'x'),
    hooks: hooks ? () => ops.op('enter', { dir: 'hook' }, 'x') : undefined,
    rest: () => ops.op('rlimit', { resource: 0, soft: 0, hard: 0 }, 'x'),
  });

  function names(options: { nnp: boolean; filter: boolean; started: boolean; hooks?: boolean; notify?: boolean }) {
    const ops = new Builder();
    const filter = { filter: new Uint8Array(8), flags: 0, notify: options.notify ? 9 : undefined };
    execute(ops, {
      files: ['/x'],
      argv: ['x'],
      env: [],
      noNewPrivileges: options.nnp,
      sets: { bounding: 0n, effective: 0n, permitted: 0n, inheritable: 0n, ambient: 0n },
      identity: { uid: 1, gid: 1, groups: new Uint8Array(0), keepGroups: false },
      mayLackSetgroups: false,
      umask: 0,
      cwd: '/',
      deathSignal: undefined,
      filter: options.filter ? filter : undefined,
      descriptors: ['fd'],
      start: options.started ? start(ops, options.hooks === true) : undefined,
    });
    const words: Readonly<Record<string, string>> = { sync: 'wait', enter: 'hook', rlimit: 'rest' };
    return ops
      .segment()
      .ops.map(({ op }) => words[op] ?? op)
      .join(' ');
  }

  test.each([
    [
      'at once: descriptors first, and the filter last',
      { nnp: true, filter: true, started: false },
      'descriptors close_from umask no_new_privs bounding ids capabilities seccomp exec',
    ],
    [
      'a filter that takes a right comes before that goes',
      { nnp: false, filter: true, started: false },
      'descriptors close_from umask bounding seccomp ids capabilities exec',
    ],
    [
      'later: all that can fail is done before',
      { nnp: true, filter: true, started: true },
      'umask no_new_privs bounding ids capabilities wait descriptors close_from rest seccomp exec',
    ],
    [
      'but a filter is there before hooks, which it is to bind',
      { nnp: true, filter: true, started: true, hooks: true },
      'umask no_new_privs bounding ids capabilities wait seccomp hook descriptors close_from rest exec',
    ],
    [
      'without a filter the same',
      { nnp: false, filter: false, started: true },
      'umask bounding ids capabilities wait descriptors close_from rest exec',
    ],
    [
      'a filter that comes early need not allow what it takes to be started',
      { nnp: false, filter: true, started: true },
      'umask wait descriptors close_from rest bounding seccomp ids capabilities exec',
    ],
    [
      'but hooks, which are to have the rights of the command only',
      { nnp: false, filter: true, started: true, hooks: true },
      'umask wait rest bounding seccomp ids capabilities hook descriptors close_from exec',
    ],
    [
      'a listener goes to the host as soon as it is there',
      { nnp: true, filter: true, started: true, notify: true },
      'umask no_new_privs bounding ids capabilities wait descriptors close_from rest listener send_handle exec',
    ],
  ])('%s', (_, options, order) => {
    expect(names(options)).toBe(order);
  });
});
