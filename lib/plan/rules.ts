import { RuntsError } from '../errors.ts';
import { type Kind, type Op, type OpName, type OpRow, opNames, ops as table } from '../program/ops.ts';
import { propagations } from '../rootfs/attributes.ts';
import { standingPlace } from '../rootfs/root.ts';
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

/** Where the first op of this name is whose operand is accepted. */
const firstWith = (plan: Plan, name: OpName, operand: string, accepts: (value: unknown) => boolean): number =>
  indexes(plan, name).find((i) => accepts(operandsAt(plan, i)[operand])) ?? -1;

const operandsAt = ({ segment }: Plan, i: number) => segment.ops[i]!.operands as Readonly<Record<string, unknown>>;

const syncAt = (plan: Plan, tag: number): number => firstWith(plan, 'sync', 'tag', (value) => value === tag);

/** Where a namespace of this type is made by the init itself. */
const unshareAt = (plan: Plan, type: keyof typeof namespaceFlags): number =>
  firstWith(plan, 'unshare', 'flags', (value) => (Number(value) & namespaceFlags[type]) !== 0);

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

/** Where the mounts of the host are left for a namespace with nothing in it; -1 where they are copied. */
function leftAt(plan: Plan): number {
  const empty = plan.inputs.find(({ kind }) => kind === 'empty_mounts')?.register;
  const isIn = (value: unknown) => (value as readonly string[]).includes(empty ?? '');
  return empty === undefined ? -1 : firstWith(plan, 'join', 'namespaces', isIn);
}

/** Once the mounts of the host are left, nothing of it is there any more but the place that the new root stands at. */
export function takesInTime(plan: Plan): boolean {
  const left = leftAt(plan);
  const later = left === -1 ? [] : plan.segment.ops.slice(left).filter(isHost);
  return later.every(
    ({ op, operands }) => op === 'propagation' || (op === 'attach_host' && operands.path === standingPlace),
  );
}

const isHost = ({ op }: Op) => (table[op] as OpRow).host === true;
const hostOps = opNames.filter((name) => (table[name] as OpRow).host === true);

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
    holds: (plan) => {
      const cutOff = first(plan, 'propagation');
      const ops = leftAt(plan) === -1 ? [...mountOps, 'clone_mount' as const] : mountOps;
      return once(plan, 'propagation') && ops.every((name) => !has(plan, name) || first(plan, name) > cutOff);
    },
  },
  {
    name: 'who leaves the mounts of the host has all that it wants of them, and shares none',
    of: 'container',
    holds: leavesWithItsOwn,
  },
  {
    name: 'there is one pivot, and no path of the host after it',
    of: 'container',
    holds: (plan) =>
      indexes(plan, 'pivot').length + indexes(plan, 'move_root').length === 1 &&
      hostOps.every((name) => last(plan, name) < rootChange(plan)),
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
    holds: (plan) =>
      (['mask', 'readonly'] as const).every((name) => !has(plan, name) || last(plan, 'attach') < first(plan, name)),
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
  'chdir',
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
  const hook = indexes(plan, 'hook').find((i) => isLateHook(plan.segment.ops[i]!)) ?? -1;
  const bare = arrivesFiltered(plan) ? arrival : withFilter;
  const allowed = hook === -1 ? bare : withFilterAndHooks;
  return (
    first(plan, 'no_new_privs') < filter &&
    (hook === -1 || (first(plan, 'await_start') < filter && filter < hook)) &&
    plan.segment.ops.slice(filter + 1).every(({ op }) => allowed.has(op))
  );
}

const isLateHook = ({ origin }: Op) => origin.startsWith('/hooks/startContainer');

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
  return indexes(plan, 'hook').every((i) => {
    const inside = isLateHook(plan.segment.ops[i]!);
    const { stdin } = operandsAt(plan, i);
    const state = firstWith(plan, inside ? 'await_start' : 'receive', 'dst', (value) => value === stdin);
    return state !== -1 && state < i && (inside ? first(plan, 'capabilities') < i : i < rootChange(plan));
  });
}

function leavesWithItsOwn(plan: Plan): boolean {
  const left = leftAt(plan);
  if (left === -1) return plan.inputs.every(({ kind }) => kind !== 'empty_mounts');
  const cutOff = unshareAt(plan, 'mount');
  const clones = indexes(plan, 'clone_mount').map((i) => operandsAt(plan, i));
  return (
    left < cutOff && cutOff < first(plan, 'propagation') && takesInTime(plan) && clones.every((c) => isPrivate(plan, c))
  );
}

/** What was cloned of the host's mounts sends no event to them: not what is mounted in it, nor what is taken away. */
function isPrivate(plan: Plan, { dst, recursive }: Readonly<Record<string, unknown>>): boolean {
  const about = (name: OpName) => indexes(plan, name).filter((i) => operandsAt(plan, i)['src'] === dst);
  const made = about('mount_attributes').find((i) => operandsAt(plan, i)['propagation'] === propagations.private);
  const seen = [...about('attach'), ...about('attach_host')];
  const whole = made !== undefined && (recursive === 0 || operandsAt(plan, made)['recursive'] === 1);
  return whole && seen.every((i) => made < i);
}

const mountOps: readonly OpName[] = ['fsmount', 'attach', 'attach_host', 'mount_attributes'];

function registersAreUsed({ segment }: Plan): boolean {
  const filled = new Set(segment.inputs);
  const used = new Set<string>();
  for (const { op, operands } of segment.ops) {
    const values = operands as Readonly<Record<string, unknown>>;
    for (const { name, kind } of registersOf.get(op)!) {
      const value = values[name];
      if (kind === 'ins') for (const register of value as readonly string[]) used.add(register);
      else if (kind === 'out') filled.add(value as string);
      else if (value !== undefined) used.add(value as string);
      // The state comes with every start, and is for hooks only.
      if (op === 'await_start' && kind === 'out') used.add(value as string);
    }
  }
  return filled.size === used.size && [...used].every((register) => filled.has(register));
}

const registerKinds: readonly Kind[] = ['in', 'maybe', 'ins', 'out'];

/** The operands of each op that are registers. */
const registersOf: ReadonlyMap<OpName, readonly { readonly name: string; readonly kind: Kind }[]> = new Map(
  opNames.map((op) => {
    const operands = Object.entries((table[op] as OpRow).operands);
    return [
      op,
      operands.map(([name, { kind }]) => ({ name, kind })).filter(({ kind }) => registerKinds.includes(kind)),
    ];
  }),
);

/** The rules that a plan breaks, by name. */
export const brokenRules = (plan: Plan, kind: PlanKind): string[] =>
  planRules.filter(({ of, holds }) => (of === 'any' || of === kind) && !holds(plan)).map(({ name }) => name);

/** Stops a plan that breaks a rule. */
export function checkPlan(plan: Plan, kind: PlanKind): void {
  const broken = brokenRules(plan, kind);
  if (broken.length > 0) throw new RuntsError('ERR_INTERNAL', `the plan breaks a rule: ${broken.join('; ')}`);
}
