import { RuntsError } from '../errors.ts';
import { type Kind, type Op, type OpName, type OpRow, opNames, ops as table } from '../program/ops.ts';
import { namespaceFlags } from '../spec/names.ts';
import type { Plan } from './plan.ts';

/** What holds for every plan of a container, whatever its configuration (DESIGN.md §6.2). */
export interface PlanRule {
  readonly name: string;
  readonly holds: (plan: Plan) => boolean;
}

const indexes = (plan: Plan, name: OpName): number[] => {
  const found: number[] = [];
  plan.segment.ops.forEach(({ op }, i) => {
    if (op === name) found.push(i);
  });
  return found;
};

const once = (plan: Plan, name: OpName): boolean => indexes(plan, name).length === 1;
const first = (plan: Plan, name: OpName): number => plan.segment.ops.findIndex(({ op }) => op === name);
const last = (plan: Plan, name: OpName): number => indexes(plan, name).pop() ?? -1;

/** Whether each of these ops is there once, in this order. */
function inOrder(plan: Plan, names: readonly OpName[]): boolean {
  return names.every((name, i) => once(plan, name) && (i === 0 || first(plan, names[i - 1]!) < first(plan, name)));
}

const createsUser = (plan: Plan) => (plan.flags & namespaceFlags.user) !== 0;

/** Checked whenever a plan is made: a violation is a bug, and must not reach a kernel. */
export const planRules: readonly PlanRule[] = [
  { name: 'mounts are the container’s own', holds: (plan) => (plan.flags & namespaceFlags.mount) !== 0 },
  {
    name: 'a user namespace comes with id maps, and its root first',
    holds: (plan) =>
      createsUser(plan) === (plan.maps !== undefined) && createsUser(plan) === (first(plan, 'become_root') === 0),
  },
  {
    name: 'exec is the last op, and the only one of its kind',
    holds: (plan) => once(plan, 'exec') && first(plan, 'exec') === plan.segment.ops.length - 1,
  },
  {
    name: 'mounts are cut off from the host before anything is mounted',
    holds: (plan) =>
      once(plan, 'propagation') && !plan.segment.ops.slice(0, first(plan, 'propagation')).some(isMountOp),
  },
  {
    name: 'there is one pivot, and no path of the host after it',
    holds: (plan) =>
      once(plan, 'pivot') && !plan.segment.ops.slice(first(plan, 'pivot')).some(({ op }) => (table[op] as OpRow).host),
  },
  {
    name: 'nothing is mounted over what is hidden or read-only',
    holds: (plan) => {
      const protectedFrom = plan.segment.ops.findIndex(({ op }) => op === 'mask' || op === 'readonly');
      return protectedFrom === -1 || last(plan, 'attach') < protectedFrom;
    },
  },
  {
    name: 'the command is found inside the new root, before the container is created',
    holds: (plan) => inOrder(plan, ['pivot', 'chdir', 'find', 'sync', 'exec']),
  },
  {
    name: 'descriptors and the bounding set go first, then ids, then capabilities',
    holds: (plan) => inOrder(plan, ['sync', 'stdio', 'close_from', 'bounding', 'ids', 'capabilities', 'exec']),
  },
  {
    name: 'a filter comes right before the exec, or without no_new_privs before ids and capabilities',
    holds: (plan) => {
      const filter = first(plan, 'seccomp');
      if (filter === -1) return true;
      if (first(plan, 'no_new_privs') === -1) return filter < first(plan, 'ids');
      return filter === first(plan, 'exec') - 1 && first(plan, 'no_new_privs') < filter;
    },
  },
  { name: 'the reaper is one if and only if the plan says so', holds: (plan) => plan.reaps === once(plan, 'reap') },
  {
    name: 'what the host opens is what the program expects',
    holds: (plan) => plan.inputs.map(({ register }) => register).join() === plan.segment.inputs.join(),
  },
  { name: 'every register is filled and used', holds: registersAreUsed },
  { name: 'every op says where it comes from', holds: (plan) => plan.segment.ops.every(({ origin }) => origin !== '') },
];

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
    }
  }
  return filled.size === used.size && [...used].every((register) => filled.has(register));
}

type OperandKinds = readonly (readonly [name: string, { readonly kind: Kind }])[];
const kindsByOp: ReadonlyMap<OpName, OperandKinds> = new Map(
  opNames.map((name) => [name, Object.entries((table[name] as OpRow).operands)]),
);

/** The rules that a plan breaks, by name. */
export const brokenRules = (plan: Plan): string[] =>
  planRules.filter(({ holds }) => !holds(plan)).map(({ name }) => name);

/** Stops a plan that breaks a rule. */
export function checkPlan(plan: Plan): void {
  const broken = brokenRules(plan);
  if (broken.length > 0) throw new RuntsError('ERR_INTERNAL', `the plan breaks a rule: ${broken.join('; ')}`);
}
