import { RuntsError } from '../errors.ts';
import { type Kind, type Op, type OpName, type OpRow, opNames, ops as table } from '../program/ops.ts';
import { namespaceFlags } from '../spec/names.ts';
import { type Plan, tags } from './plan.ts';

/** What a plan is for: a container's first command, or a later one in it. */
export type PlanKind = 'container' | 'exec';

/** What holds for every plan, or for every one of its kind, whatever the configuration (DESIGN.md §6.2). */
export interface PlanRule {
  readonly name: string;
  readonly of: PlanKind | 'any';
  readonly holds: (plan: Plan) => boolean;
}

/** Where the ops of each name are, of a plan whose rules are being asked: they ask for hundreds of them. */
const indexesByOp = new WeakMap<readonly Op[], ReadonlyMap<OpName, readonly number[]>>();

function indexes({ segment: { ops } }: Plan, name: OpName): readonly number[] {
  const byOp = indexesByOp.get(ops) ?? indexed(ops);
  indexesByOp.set(ops, byOp);
  return byOp.get(name) ?? [];
}

function indexed(ops: readonly Op[]): Map<OpName, number[]> {
  const byOp = new Map<OpName, number[]>();
  ops.forEach(({ op }, i) => {
    const found = byOp.get(op);
    if (found === undefined) byOp.set(op, [i]);
    else found.push(i);
  });
  return byOp;
}

const once = (plan: Plan, name: OpName): boolean => indexes(plan, name).length === 1;
const has = (plan: Plan, name: OpName): boolean => indexes(plan, name).length > 0;
const first = (plan: Plan, name: OpName): number => indexes(plan, name)[0] ?? -1;
const last = (plan: Plan, name: OpName): number => indexes(plan, name).slice(-1)[0] ?? -1;

/** Whether each of these is there, one after the other. */
const ascending = (places: readonly number[]): boolean =>
  places.every((place, i) => place !== -1 && (i === 0 || places[i - 1]! < place));

/** Whether each of these ops is there once, in this order. */
const inOrder = (plan: Plan, names: readonly OpName[]): boolean =>
  names.every((name) => once(plan, name)) && ascending(names.map((name) => first(plan, name)));

const syncAt = (plan: Plan, tag: number): number =>
  plan.segment.ops.findIndex(({ op, operands }) => op === 'sync' && 'tag' in operands && operands.tag === tag);

/** Where a namespace of this type is made by the init itself. */
const unshareAt = (plan: Plan, type: keyof typeof namespaceFlags): number =>
  plan.segment.ops.findIndex(
    ({ op, operands }) =>
      op === 'unshare' && 'flags' in operands && (Number(operands.flags) & namespaceFlags[type]) !== 0,
  );

/** Where the old root is let go of. */
const rootChange = (plan: Plan): number => Math.max(first(plan, 'pivot'), first(plan, 'move_root'));
const filterAt = (plan: Plan): number => Math.max(first(plan, 'seccomp'), first(plan, 'listener'));

/**
 * The last sync point: where the host lets the command run, or says that the container is created; or where it would be, had
 * the host something to do then.
 */
const goesOn = (plan: Plan): number =>
  Math.max(syncAt(plan, tags.created), syncAt(plan, tags.start), first(plan, 'keep_only'));

/** How a later command enters the container: by descriptors of its namespaces, or of its first process. */
const joinOf = (plan: Plan): OpName => (has(plan, 'join_process') ? 'join_process' : 'join');

const isHost = ({ op }: Op) => (table[op] as OpRow).host === true;

/** Checked whenever a plan is made: a violation is a bug, and must not reach a kernel. */
export const planRules: readonly PlanRule[] = [
  {
    name: 'mounts are the container’s own',
    of: 'container',
    holds: (plan) => {
      if ((plan.flags & namespaceFlags.mount) !== 0) return true;
      return ascending([unshareAt(plan, 'mount'), first(plan, 'propagation')]);
    },
  },
  { name: 'a user namespace comes with id maps, and its root first', of: 'container', holds: rootComesFirst },
  {
    name: 'nobody in a namespace that is joined can attach',
    of: 'exec',
    holds: (plan) => inOrder(plan, ['undumpable', joinOf(plan)]) && plan.flags === 0 && plan.maps === undefined,
  },
  {
    name: 'a cgroup namespace is made by who is in the cgroup',
    of: 'any',
    holds: (plan) => (plan.flags & namespaceFlags.cgroup) === 0,
  },
  {
    name: 'exec is the last op, and the only one of its kind',
    of: 'any',
    holds: (plan) => once(plan, 'exec') && first(plan, 'exec') === plan.segment.ops.length - 1,
  },
  {
    name: 'mounts are cut off from the host before anything is mounted',
    of: 'container',
    holds: (plan) =>
      once(plan, 'propagation') && !plan.segment.ops.slice(0, first(plan, 'propagation')).some(isMountOp),
  },
  {
    name: 'there is one pivot, and no path of the host after it',
    of: 'container',
    holds: (plan) =>
      indexes(plan, 'pivot').length + indexes(plan, 'move_root').length === 1 &&
      !plan.segment.ops.slice(rootChange(plan)).some(isHost),
  },
  {
    name: 'nothing is opened of the host once its namespaces are left',
    of: 'exec',
    holds: (plan) =>
      plan.segment.ops
        .slice(first(plan, joinOf(plan)))
        .every((op) => !isHost(op) || (op.op === 'open' && op.operands.path === '/')),
  },
  {
    name: 'nothing is mounted over what is hidden or read-only',
    of: 'container',
    holds: (plan) => {
      const protectedFrom = plan.segment.ops.findIndex(({ op }) => op === 'mask' || op === 'readonly');
      return protectedFrom === -1 || last(plan, 'attach') < protectedFrom;
    },
  },
  {
    name: 'the command is found inside the new root, before the container is created',
    of: 'container',
    holds: (plan) =>
      once(plan, 'find') && ascending([rootChange(plan), last(plan, 'chdir'), first(plan, 'find'), goesOn(plan)]),
  },
  {
    name: 'the command is found in the container, before it is let go',
    of: 'exec',
    holds: (plan) => ascending([first(plan, joinOf(plan)), first(plan, 'chdir'), first(plan, 'find'), goesOn(plan)]),
  },
  {
    name: 'descriptors and the bounding set go first, then ids, then capabilities',
    of: 'any',
    holds: (plan) =>
      inOrder(plan, ['stdio', 'bounding', 'capabilities', 'exec']) &&
      ascending([first(plan, 'bounding'), first(plan, 'ids'), first(plan, 'capabilities')]) &&
      last(plan, 'ids') < first(plan, 'capabilities') &&
      descriptorsGoInTime(plan),
  },
  {
    name: 'a filter comes right before the exec, and before hooks of the container; without no_new_privs before ids and capabilities',
    of: 'any',
    holds: filterIsInPlace,
  },
  {
    name: 'a created container holds nothing of the host',
    of: 'container',
    holds: (plan) => !has(plan, 'await_start') || letsGoFirst(plan),
  },
  {
    name: 'who joins a PID namespace leads a session there',
    of: 'exec',
    holds: (plan) => !has(plan, 'fork') || ascending([first(plan, 'fork'), first(plan, 'new_session')]),
  },
  { name: 'a later command that waits holds nothing of the host', of: 'exec', holds: letsGoFirst },
  { name: 'a created container waits only to be started', of: 'container', holds: createdIsAll },
  { name: 'hooks hear the state, and run in the root that they are for', of: 'container', holds: hooksAreInPlace },
  {
    name: 'the reaper is one if and only if the plan says so',
    of: 'any',
    holds: (plan) => plan.reaps === once(plan, 'reap') && !(plan.reaps && has(plan, 'await_start')),
  },
  {
    name: 'what outlives the host is a reaper, and is told so at last',
    of: 'any',
    holds: (plan) =>
      (plan.outlives === true) === has(plan, 'outlive') &&
      (!has(plan, 'outlive') || first(plan, 'reap') === first(plan, 'outlive') + 1),
  },
  {
    name: 'what the host opens is what the program expects',
    of: 'any',
    holds: (plan) => plan.inputs.map(({ register }) => register).join() === plan.segment.inputs.join(),
  },
  {
    name: 'a program that serves files is out of sight of the container',
    of: 'container',
    holds: (plan) => (plan.flags & namespaceFlags.pid) !== 0 || plan.inputs.every(({ kind }) => kind !== 'fuse'),
  },
  { name: 'every register is filled and used', of: 'any', holds: registersAreUsed },
  {
    name: 'every op says where it comes from',
    of: 'any',
    holds: (plan) => plan.segment.ops.every(({ origin }) => origin !== ''),
  },
];

function rootComesFirst(plan: Plan): boolean {
  const cloned = (plan.flags & namespaceFlags.user) !== 0;
  const made = unshareAt(plan, 'user');
  if ((cloned || made !== -1) !== (plan.maps !== undefined)) return false;
  if (cloned) return first(plan, 'become_root') === 0;
  // Nothing is done as nobody: the maps are asked for at once, and root is taken as soon as they are there.
  if (made !== -1) return syncAt(plan, tags.maps) === made + 1 && first(plan, 'become_root') === made + 2;
  return has(plan, 'become_root') ? ascending([first(plan, joinOf(plan)), first(plan, 'become_root')]) : true;
}

/** After the last op that needs one of the init's own; and before ids go, where nothing does. */
function descriptorsGoInTime(plan: Plan): boolean {
  const closed = first(plan, 'close_from');
  const needed = ['stdio', 'await_start', 'hook', 'descriptors'].map((name) => last(plan, name as OpName));
  const waits = goesOn(plan) > first(plan, 'stdio');
  return once(plan, 'close_from') && closed > Math.max(...needed) && (waits || closed < first(plan, 'bounding'));
}

/** All that may come between a filter that is installed last and the exec. */
const withFilter: ReadonlySet<OpName> = new Set<OpName>(['listener', 'seccomp', 'send_handle', 'exec']);

/** With hooks, what has to wait for them comes after the filter as well. */
const withFilterAndHooks: ReadonlySet<OpName> = new Set<OpName>([
  ...withFilter,
  'hook',
  'descriptors',
  'close_from',
  'rlimit',
]);

/** What is left to who joins a container, once it can be seen there, and to who waits with its filter. */
const arrival: ReadonlySet<OpName> = new Set<OpName>([
  'fork',
  'new_session',
  'controlling_terminal',
  'keep_only',
  'sync',
  'descriptors',
  'close_from',
  'rlimit',
  'exec',
]);

/** Who is about to join a container, or to wait for its start, may have its filter before, if that lets it. */
const arrivesFiltered = (plan: Plan): boolean =>
  ['fork', 'keep_only'].includes(plan.segment.ops[filterAt(plan) + 1]?.op ?? '');

function filterIsInPlace(plan: Plan): boolean {
  const filter = filterAt(plan);
  if (filter === -1) return true;
  if (!has(plan, 'no_new_privs')) return filter < first(plan, 'ids');
  // A hook of the container is a program of the image's, maybe: what binds the command binds it, too.
  const hook = plan.segment.ops.findIndex(isLateHook);
  const bare = arrivesFiltered(plan) ? arrival : withFilter;
  const allowed = hook === -1 ? bare : withFilterAndHooks;
  return (
    first(plan, 'no_new_privs') < filter &&
    (hook === -1 || (first(plan, 'await_start') < filter && filter < hook)) &&
    plan.segment.ops.slice(filter + 1).every(({ op }) => allowed.has(op))
  );
}

const isLateHook = ({ op, origin }: Op) => op === 'hook' && origin.startsWith('/hooks/startContainer');

/** What cannot be done before, or cannot fail; without no_new_privs, a filter and what must follow it. */
const afterCreated: ReadonlySet<OpName> = new Set<OpName>([
  'sync',
  'await_start',
  'hook',
  'descriptors',
  'close_from',
  'rlimit',
  ...withFilter,
]);
const afterEarlyFilter: ReadonlySet<OpName> = new Set<OpName>([
  'bounding',
  'ids',
  'capabilities',
  'chdir_again',
  'death_signal',
]);

/** Whether all that is not needed any more is closed right before the wait. */
function letsGoFirst(plan: Plan): boolean {
  const at = goesOn(plan);
  const closes = (i: number) => plan.segment.ops[i]?.op === 'keep_only';
  return closes(at - 1) || (closes(at) && last(plan, 'fork') < at);
}

function createdIsAll(plan: Plan): boolean {
  const created = syncAt(plan, tags.created);
  if (created === -1) return !has(plan, 'await_start');
  const early = filterAt(plan) !== -1 && !has(plan, 'no_new_privs');
  const rest = plan.segment.ops.slice(created);
  return (
    first(plan, 'await_start') === created + 1 &&
    rest.every(({ op }) => afterCreated.has(op) || (early && afterEarlyFilter.has(op)))
  );
}

function hooksAreInPlace(plan: Plan): boolean {
  return plan.segment.ops.every(({ op, operands, origin }, i) => {
    if (op !== 'hook') return true;
    const inside = origin.startsWith('/hooks/startContainer');
    const from = inside ? 'await_start' : 'receive';
    const state = plan.segment.ops.findIndex(
      (other) => other.op === from && 'stdin' in operands && other.operands.dst === operands.stdin,
    );
    return state !== -1 && state < i && (inside ? first(plan, 'capabilities') < i : i < rootChange(plan));
  });
}

const mountOps: ReadonlySet<OpName> = new Set<OpName>([
  'fsmount',
  'clone_mount',
  'attach',
  'attach_host',
  'mount_attributes',
]);
const isMountOp = ({ op }: Op) => mountOps.has(op);

function registersAreUsed({ segment }: Plan): boolean {
  const filled = new Set(segment.inputs);
  const used = new Set<string>();
  for (const op of segment.ops) {
    for (const [key, { kind }] of kindsByOp.get(op.op)!) {
      const value = (op.operands as Readonly<Record<string, unknown>>)[key];
      if (kind === 'in') used.add(value as string);
      else if (kind === 'maybe' && value !== undefined) used.add(value as string);
      else if (kind === 'ins') for (const register of value as readonly string[]) used.add(register);
      else if (kind === 'out') filled.add(value as string);
      // The state comes with every start, and is for hooks only.
      if (op.op === 'await_start' && kind === 'out') used.add(value as string);
    }
  }
  return filled.size === used.size && [...used].every((register) => filled.has(register));
}

type OperandKinds = readonly (readonly [name: string, { readonly kind: Kind }])[];
const kindsByOp: ReadonlyMap<OpName, OperandKinds> = new Map(
  opNames.map((name) => [name, Object.entries((table[name] as OpRow).operands)]),
);

/** The rules that a plan breaks, by name. */
export const brokenRules = (plan: Plan, kind: PlanKind): string[] =>
  planRules.filter(({ of, holds }) => (of === 'any' || of === kind) && !holds(plan)).map(({ name }) => name);

/** Stops a plan that breaks a rule. */
export function checkPlan(plan: Plan, kind: PlanKind): void {
  const broken = brokenRules(plan, kind);
  if (broken.length > 0) throw new RuntsError('ERR_INTERNAL', `the plan breaks a rule: ${broken.join('; ')}`);
}
