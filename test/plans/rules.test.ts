import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { RuntsError } from '../../lib/errors.ts';
import { type ContainerRequest, planContainer } from '../../lib/plan/container.ts';
import { planExec } from '../../lib/plan/exec.ts';
import type { Plan } from '../../lib/plan/plan.ts';
import { brokenRules, type PlanKind, planRules } from '../../lib/plan/rules.ts';
import { encode } from '../../lib/program/encode.ts';
import type { Op, OpName } from '../../lib/program/ops.ts';
import { verify } from '../../lib/program/verify.ts';
import { defaultProfile } from '../../lib/seccomp/default.ts';
import { capabilityNames, type NamespaceType, namespaceFlags, namespaceTypes } from '../../lib/spec/names.ts';
import { type DraftSpec, facts, request } from './requests.ts';

const name = fc.stringMatching(/^[a-z]{1,6}$/);
const path = fc.array(name, { minLength: 1, maxLength: 3 }).map((parts) => `/${parts.join('/')}`);
const capabilities = fc.subarray([...capabilityNames]);
const word = fc.constantFrom('ro', 'rw', 'nosuid', 'rro', 'noatime', 'rslave', 'shared', 'private', 'dev');
const mount = fc.oneof(
  fc.record({ destination: path, type: fc.constant('tmpfs'), options: fc.array(word) }),
  fc.record({ destination: path, type: fc.constant('bind'), source: path, options: fc.array(word) }),
  fc.record({ destination: path, type: fc.constantFrom('proc', 'sysfs', 'cgroup', 'mqueue', 'devpts') }),
);

const edits = fc.record({
  namespaces: fc.subarray(namespaceTypes.filter((type) => type !== 'mount' && type !== 'user')),
  // Without one, little can be had on most hosts.
  user: fc.constantFrom(true, true, true, false),
  mounts: fc.array(mount, { maxLength: 5 }),
  keepDefaults: fc.boolean(),
  readonly: fc.boolean(),
  noNewPrivileges: fc.boolean(),
  filtered: fc.boolean(),
  bounding: capabilities,
  uid: fc.constantFrom(0, 1000),
  masked: fc.array(path, { maxLength: 3 }),
  rlimits: fc.subarray(['RLIMIT_NOFILE', 'RLIMIT_CORE']),
  oomScoreAdj: fc.option(fc.integer({ min: 0, max: 1000 }), { nil: undefined }),
  joined: fc.subarray(namespaceTypes.filter((type) => type !== 'mount')),
  hooks: fc.subarray(['prestart', 'createContainer', 'startContainer'] as const),
  cpus: fc.constantFrom(undefined, '0-1'),
  memory: fc.option(fc.integer({ min: 1 }), { nil: undefined }),
});

type Edits = typeof edits extends fc.Arbitrary<infer T> ? T : never;

const profile = defaultProfile({ capabilities: [], arch: 'x64' }) as never;

function apply(spec: DraftSpec, e: Edits): void {
  const types = [...(e.user ? ['user' as const] : []), 'mount' as const, ...e.namespaces];
  const taken: readonly NamespaceType[] = e.joined;
  const made = types.filter((type) => !taken.includes(type));
  const joined = e.joined.map((type) => ({ type, path: `/proc/7/ns/${type}` }));
  spec.linux.namespaces = [...made.map((type) => ({ type })), ...joined];
  if (made.includes('time')) spec.linux.timeOffsets = { boottime: { secs: 1 } };
  if (e.hooks.length > 0) spec.hooks = Object.fromEntries(e.hooks.map((kind) => [kind, [{ path: '/hook' }]]));
  if (e.cpus !== undefined) spec.process.execCPUAffinity = { final: e.cpus };
  spec.mounts = [...(e.keepDefaults ? (spec.mounts ?? []) : []), ...(e.mounts as never[])];
  spec.root.readonly = e.readonly;
  spec.process.noNewPrivileges = e.noNewPrivileges;
  spec.process.capabilities = { bounding: e.bounding, permitted: e.bounding, effective: e.bounding };
  spec.process.user = { uid: e.uid, gid: 0 };
  spec.process.rlimits = e.rlimits.map((type) => ({ type, soft: 64, hard: 64 }));
  if (e.oomScoreAdj !== undefined) spec.process.oomScoreAdj = e.oomScoreAdj;
  if (e.memory !== undefined) spec.linux.resources = { memory: { limit: e.memory } };
  if (e.filtered) spec.linux.seccomp = profile;
  spec.linux.maskedPaths = e.masked;
}

const requests: fc.Arbitrary<ContainerRequest> = fc
  .record({
    e: edits,
    host: fc.boolean(),
    reap: fc.boolean(),
    terminal: fc.boolean(),
    ownStdio: fc.boolean(),
    deathSignal: fc.boolean(),
    socket: fc.boolean(),
    start: fc.constantFrom('channel' as const, 'late' as const),
    preserveFds: fc.integer({ min: 0, max: 2 }),
    emptyMounts: fc.boolean(),
  })
  .map(({ e, host, terminal, socket, ...rest }) => {
    const options = socket
      ? { ...rest, reap: false, oci: true, start: 'socket' as const, cgroupDriver: 'disabled' as const }
      : rest;
    if (!socket) e = { ...e, hooks: [] };
    const root = host ? ({ kind: 'host' } as const) : ({ kind: 'directory', path: '/images/demo' } as const);
    return request((spec) => apply(spec, e), { ...options, root, stdio: terminal ? 'terminal' : 'pipes' });
  });
const kinds = fc.constantFrom('root', 'rootless', 'single-id' as const);

/** A plan, or undefined where what is asked cannot be had: then by an error that says so. */
function planned(asked: ContainerRequest, kind: 'root' | 'rootless' | 'single-id'): Plan | undefined {
  try {
    return planContainer(asked, facts(kind));
  } catch (error) {
    if (RuntsError.is(error) && error.code === 'ERR_UNSUPPORTED') return undefined;
    throw error;
  }
}

const runs = { seed: 20, numRuns: 300 };

describe('whatever is asked', () => {
  test('a plan breaks no rule, and the verifier takes it', () => {
    let made = 0;
    fc.assert(
      fc.property(requests, kinds, (asked, kind) => {
        const plan = planned(asked, kind);
        if (plan === undefined) return;
        made++;
        expect(brokenRules(plan, 'container')).toEqual([]);
        expect(verify(encode(plan.segment))).toBeUndefined();
      }),
      runs,
    );
    expect(made).toBeGreaterThan(100);
  });

  test('root with the ids of the host leaves its mounts, where that can be, by a plan that breaks no rule', () => {
    const types = ['mount', 'pid', 'network', 'ipc', 'uts', 'cgroup'] as const;
    const own = { namespaces: types.map((type) => ({ type })) };
    let left = 0;
    fc.assert(
      fc.property(requests, (asked) => {
        const { spec } = asked;
        const linux = { ...spec.linux, ...own, timeOffsets: undefined };
        const plan = planned({ ...asked, spec: { ...spec, linux, hooks: undefined }, emptyMounts: true }, 'root');
        if (plan === undefined) return;
        if (plan.inputs.some(({ kind }) => kind === 'empty_mounts')) left++;
        expect(brokenRules(plan, 'container')).toEqual([]);
        expect(verify(encode(plan.segment))).toBeUndefined();
      }),
      runs,
    );
    expect(left).toBeGreaterThan(30);
  });

  test('the same request and facts give the same bytes', () => {
    fc.assert(
      fc.property(requests, kinds, (asked, kind) => {
        const [one, two] = [planned(asked, kind), planned(asked, kind)];
        expect(one && encode(one.segment)).toEqual(two && encode(two.segment));
      }),
      { ...runs, numRuns: 50 },
    );
  });

  test('every mount is attached, in its order, and nothing of an ordinary user needs a helper', () => {
    fc.assert(
      fc.property(requests, kinds, (asked, kind) => {
        const plan = planned(asked, kind);
        if (plan === undefined) return;
        const attached = plan.segment.ops.filter(({ op, origin }) => op === 'attach' && origin.startsWith('/mounts/'));
        expect(attached.map(({ origin }) => origin)).toEqual(asked.spec.mounts?.map((_, i) => `/mounts/${i}`));
        if (kind !== 'root') expect(plan.inputs.every((input) => input.kind !== 'mount')).toBe(true);
      }),
      runs,
    );
  });

  test('a later command in it breaks no rule either', () => {
    let made = 0;
    fc.assert(
      fc.property(requests, kinds, fc.subarray([...namespaceTypes]), (asked, kind, others) => {
        const { id, spec, stdio, ownStdio, preserveFds } = asked;
        const process = spec.process as NonNullable<typeof spec.process>;
        const namespaces = new Set<NamespaceType>(['mount', ...others]);
        const plan = planExec({ id, spec, process, pid: 42, namespaces, stdio, ownStdio, preserveFds }, facts(kind));
        made++;
        expect(brokenRules(plan, 'exec')).toEqual([]);
        expect(verify(encode(plan.segment))).toBeUndefined();
      }),
      { ...runs, numRuns: 100 },
    );
    expect(made).toBe(100);
  });

  test('no id of the host’s root is ever mapped by root', () => {
    fc.assert(
      fc.property(requests, (asked) => {
        const maps = planned(asked, 'root')?.maps;
        expect([...(maps?.uids ?? []), ...(maps?.gids ?? [])].every(({ host }) => host > 0)).toBe(true);
      }),
      { ...runs, numRuns: 50 },
    );
  });
});

const edited = (plan: Plan, edit: (ops: Op[]) => Op[]): Plan => ({
  ...plan,
  segment: { ...plan.segment, ops: edit([...plan.segment.ops]) },
});
const swapped = (ops: Op[], a: OpName, b: OpName): Op[] => {
  const i = ops.findIndex(({ op }) => op === a);
  const j = ops.findIndex(({ op }) => op === b);
  [ops[i], ops[j]] = [ops[j]!, ops[i]!];
  return ops;
};

const good = planContainer(
  request((spec) => {
    spec.linux.seccomp = profile;
  }),
  facts('rootless'),
);

const leaving = planContainer(
  request(
    (spec) => {
      spec.linux.namespaces = spec.linux.namespaces.filter(({ type }) => type !== 'user');
    },
    { emptyMounts: true },
  ),
  facts('root'),
);

const later = planContainer(
  request(
    (spec) => {
      spec.hooks = { createContainer: [{ path: '/hook' }], startContainer: [{ path: '/late' }] };
      spec.linux.seccomp = profile;
    },
    { reap: false, oci: true, start: 'socket', cgroupDriver: 'disabled' },
  ),
  facts('rootless'),
);

const server = { program: '/usr/bin/fuse-overlayfs', place: '../merged' };
const layers = { data: '/data', base: 'containers/a/lower', lower: ['0'], upper: '../upper', work: '../work', server };
const withServer = planContainer(
  request(() => undefined, { root: { kind: 'overlay', layers } }),
  facts('rootless'),
);
const served: Plan = { ...withServer, flags: withServer.flags & ~namespaceFlags.pid };

const { spec } = request();
const execed = planExec(
  {
    id: 'demo',
    spec,
    process: spec.process as NonNullable<typeof spec.process>,
    pid: 42,
    namespaces: new Set(['mount', 'pid'] as const),
    stdio: 'pipes',
    ownStdio: false,
  },
  facts('root'),
);

const hookOfHost = (ops: Op[]) =>
  ops.map((op) => (op.op === 'hook' ? { ...op, operands: { ...op.operands, stdin: 'stdin0' } } : op));
const openOfHost: Op = { op: 'open', operands: { dst: 'etc', path: '/etc' }, origin: 'test' };

test.each<[string, Plan, PlanKind?]>([
  ['there is one pivot', edited(good, (ops) => swapped(ops, 'pivot', 'open'))],
  ['descriptors and the bounding set', edited(good, (ops) => swapped(ops, 'ids', 'capabilities'))],
  ['descriptors and the bounding set', edited(later, (ops) => swapped(ops, 'close_from', 'await_start'))],
  ['a filter comes right before', edited(good, (ops) => swapped(ops, 'seccomp', 'capabilities'))],
  ['a filter comes right before', edited(later, (ops) => swapped(ops, 'seccomp', 'close_from'))],
  ['a filter comes right before', edited(later, (ops) => swapped(ops, 'seccomp', 'await_start'))],
  ['exec is the last op', edited(good, (ops) => swapped(ops, 'seccomp', 'exec'))],
  ['nothing is mounted over', edited(good, (ops) => swapped(ops, 'mask', 'attach'))],
  ['mounts are cut off', edited(good, (ops) => swapped(ops, 'propagation', 'attach_host'))],
  ['who leaves the mounts', edited(leaving, (ops) => ops.filter(({ op }) => op !== 'join'))],
  ['a user namespace comes with', { ...good, maps: undefined }],
  ['a user namespace comes with', edited(good, (ops) => swapped(ops, 'become_root', 'propagation'))],
  ['mounts are the container’s own', { ...good, flags: 0x10000000 }],
  ['a cgroup namespace is made by', { ...good, flags: good.flags | 0x02000000 }],
  ['the reaper is one', { ...good, reaps: false }],
  ['what outlives the host', { ...good, outlives: true }],
  ['what the host opens', { ...good, inputs: [] }],
  ['every register is filled', edited(good, (ops) => ops.filter(({ op }) => op !== 'stdio'))],
  ['the command is found inside', edited(good, (ops) => ops.filter(({ op }) => op !== 'find'))],
  ['every op says where', edited(good, (ops) => ops.map((op) => ({ ...op, origin: '' })))],
  ['a created container waits', edited(later, (ops) => swapped(ops, 'umask', 'close_from'))],
  ['a created container holds nothing', edited(later, (ops) => ops.filter(({ op }) => op !== 'keep_only'))],
  ['a later command that waits', edited(execed, (ops) => swapped(ops, 'keep_only', 'umask')), 'exec'],
  ['who joins a PID namespace', edited(execed, (ops) => swapped(ops, 'fork', 'new_session')), 'exec'],
  ['hooks hear the state', edited(later, hookOfHost)],
  ['hooks hear the state', edited(later, (ops) => swapped(ops, 'hook', 'pivot'))],
  ['nobody in a namespace', edited(execed, (ops) => swapped(ops, 'undumpable', 'join')), 'exec'],
  [
    'nothing is opened of the host',
    edited(execed, (ops) => [...ops.slice(0, -1), openOfHost, ...ops.slice(-1)]),
    'exec',
  ],
  ['a program that serves files', served],
  ['the command is found in the container', edited(execed, (ops) => swapped(ops, 'find', 'join')), 'exec'],
])('a plan that breaks it is caught: %s', (rule, plan, kind = 'container') => {
  expect(brokenRules(plan, kind).some((name) => name.startsWith(rule))).toBe(true);
});

test('plans of all kinds are good before they are broken', () => {
  expect([
    brokenRules(good, 'container'),
    brokenRules(later, 'container'),
    brokenRules(execed, 'exec'),
    brokenRules(withServer, 'container'),
  ]).toEqual([[], [], [], []]);
});

test('every rule has a test above', () => {
  expect(planRules.length).toBe(25);
});
