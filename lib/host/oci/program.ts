import type { Segment } from '../../plan/plan.ts';
import { type Op, type OpName, ops } from '../../program/ops.ts';
import type { CgroupRecord } from '../cgroups/cgroup.ts';
import type { Host } from '../host.ts';
import { type Entry, load, save } from './store.ts';

const file = 'program.json';

/** What is left of a program after the start, kept so that whoever starts the container can say what failed. */
interface Kept {
  /** Where its processes are: a record that is damaged does not say it. */
  readonly cgroup?: CgroupRecord | undefined;
  readonly first: number;
  readonly ops: readonly {
    readonly op: OpName;
    readonly operands: Readonly<Record<string, unknown>>;
    readonly origin: string;
  }[];
}

export async function keepProgram(
  host: Host,
  entry: Entry,
  { ops }: Segment,
  cgroup: CgroupRecord | undefined,
): Promise<void> {
  const start = ops.findIndex(({ op }) => op === 'await_start');
  // Whoever starts over the channel has the program.
  const first = start === -1 ? ops.length : start;
  if (first === ops.length && cgroup === undefined) return;
  const kept = ops.slice(first).map(({ op, operands, origin }) => ({ op, operands: shown(operands), origin }));
  await save(host, entry, file, { cgroup, first, ops: kept } satisfies Kept);
}

/** Numbers and texts: filters and environments are long, and no error shows them. */
function shown(operands: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const entries = Object.entries(operands).filter(([name, value]) => name !== 'env' && !(value instanceof Uint8Array));
  return Object.fromEntries(entries);
}

/** The program as error messages need it: only its end is known. */
export async function keptProgram(host: Host, entry: Entry): Promise<Segment> {
  const { first, ops: kept } = (await load(host, entry, file)) as Kept;
  const before: Op[] = Array.from({ length: first }, () => ({ op: 'halt', operands: {}, origin: 'before the start' }));
  const known = kept.filter(({ op }) => op in ops) as unknown as readonly Op[];
  return { inputs: [], ops: [...before, ...known] };
}

/** The cgroup of a container whose record is damaged; undefined where it had none, or where this is damaged, too. */
export async function keptCgroup(host: Host, entry: Entry): Promise<CgroupRecord | undefined> {
  const kept = (await load(host, entry, file).catch(() => undefined)) as Kept | undefined;
  return kept?.cgroup;
}
