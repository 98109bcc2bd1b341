import { commandFiles, environment } from '../process/environment.ts';
import type { Op } from '../program/ops.ts';
import type { Process } from '../spec/types.ts';
import { type ExecRequest, planExec } from './exec.ts';
import type { Facts } from './facts.ts';
import type { Plan, Segment } from './plan.ts';

/** What becomes a command in a container, in two programs: the second one is known when somebody asks for the command. */
export interface AheadPlan {
  /** Enters the container, gives up what the command is not to have, and waits for the rest where it cannot be seen there. */
  readonly plan: Plan;
  /** Of one command that differs in its arguments, its environment and its working directory alone. */
  readonly rest: (command: Pick<Process, 'args' | 'env' | 'cwd'>) => Segment;
}

/**
 * The plan of a later command (`planExec`), cut where it waits. Nothing before that depends on which command it will be; what is looked for in the
 * container, the working directory and the command, comes after it. Undefined where it would be seen in the container.
 */
export function planAhead(request: ExecRequest, facts: Facts): AheadPlan | undefined {
  const { segment, ...whole } = planExec(request, facts);
  const { inputs, ops } = segment;
  const at = ops.findIndex(({ op }) => op === 'sync');
  const wait = ops[at];
  const rest = ops.slice(at + 1);
  if (wait?.op !== 'sync' || !rest.some(({ op }) => op === 'fork')) return undefined;
  const before = ops.slice(0, at).filter(({ op }) => op !== 'find');
  const next: Op = { op: 'next_program', operands: wait.operands, origin: wait.origin };
  return {
    plan: { ...whole, segment: { inputs, ops: [...before, next] } },
    rest: (command) => ({ inputs: [], ops: restFor(rest, command) }),
  };
}

/** Where it is to be, and what it is to be, as of now. */
function restFor(ops: readonly Op[], { args, env = [], cwd }: Pick<Process, 'args' | 'env' | 'cwd'>): Op[] {
  const files = commandFiles(args, env);
  const all: Op[] = [];
  if (cwd !== '/') all.push({ op: 'chdir', operands: { path: cwd }, origin: '/process/cwd' });
  all.push({ op: 'find', operands: { files }, origin: '/process/args/0' });
  for (const op of ops) {
    if (op.op === 'exec') all.push({ ...op, operands: { files, argv: args, env: environment(env) } });
    else if (op.op !== 'chdir') all.push(op);
  }
  return all;
}
