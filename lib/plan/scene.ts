import { RuntsError } from '../errors.ts';
import { idMaps } from '../namespaces/maps.ts';
import { type SpawnShape, spawnShape } from '../namespaces/shape.ts';
import { addTimeNamespace, setClocks } from '../namespaces/time.ts';
import { keepsGroups } from '../process/identity.ts';
import { raiseRlimits } from '../process/limits.ts';
import { setOomScore } from '../process/oom.ts';
import type { Stdio } from '../process/stdio.ts';
import { separateMounts } from '../rootfs/propagation.ts';
import { namespaceFlags } from '../spec/names.ts';
import type { Process, Spec } from '../spec/types.ts';
import type { ContainerRequest } from './container.ts';
import { addInput, type Draft, hostProc, newDraft } from './draft.ts';
import type { Facts } from './facts.ts';
import { leavesMounts, receivesEvents } from './leave.ts';
import { type Maps, tags } from './plan.ts';

/** What is decided before the first op. */
export interface Scene {
  readonly request: ContainerRequest;
  readonly facts: Facts;
  readonly process: Process;
  readonly shape: SpawnShape;
  /** Of a user namespace that is the container's own. */
  readonly maps: Maps | undefined;
  readonly receives: boolean;
  readonly draft: Draft;
  readonly stdio: Stdio | undefined;
}

export function setScene(request: ContainerRequest, facts: Facts): Scene {
  const { spec } = request;
  const { linux } = spec;
  const process = processOf(spec);
  const shape = shapeOf(request, facts);
  const own = shape.created.has('user') ? idMaps(linux, facts) : undefined;
  // Who may set groups could drop one; and root of the namespace would, first of all.
  const maps = own && keepsGroups(spec.annotations) ? { ...own, setgroups: 'deny' as const } : own;
  const receives = receivesEvents(spec);
  const draft = newDraft();
  const stdio = request.stdio === 'pipes' ? stdioInputs(draft) : undefined;
  return { request, facts, process, shape, maps, receives, draft, stdio };
}

/** The way into the namespaces alone: of what is asked of a plan that is only foreseen. */
export function shapeOf(request: ContainerRequest, facts: Facts): SpawnShape {
  const { spec, reap, oci } = request;
  const process = processOf(spec);
  return spawnShape(spec.linux.namespaces, {
    privileged: facts.privileged,
    reap,
    offsets: Object.keys(spec.linux.timeOffsets ?? {}).length > 0,
    before: oci === true && facts.privileged && wantsHostRights(process),
    leaves: leavesMounts(request, facts),
  });
}

function processOf({ process }: Spec): Process {
  if (process !== undefined) return process;
  const issues = [{ path: '/process', message: 'is needed to make a container' }];
  throw new RuntsError('ERR_SPEC', 'cannot make a container without a process', { origin: '/process', issues });
}

/** What root of a user namespace may not: raise hard limits, and be killed later than others. */
const wantsHostRights = ({ oomScoreAdj = 0, rlimits = [] }: Process) => oomScoreAdj < 0 || rlimits.length > 0;

export function stdioInputs(draft: Draft): Stdio {
  const origin = 'default: stdio';
  return {
    stdin: addInput(draft, 'stdin', { kind: 'stdio', stream: 0, origin }),
    stdout: addInput(draft, 'stdout', { kind: 'stdio', stream: 1, origin }),
    stderr: addInput(draft, 'stderr', { kind: 'stdio', stream: 2, origin }),
  };
}

/** The way into the namespaces, and what must be done on this side of it. */
export function enterNamespaces(scene: Scene): void {
  const { draft, shape, receives, facts } = scene;
  const { opening: ops } = draft;
  const proc = hostProc(ops);
  switch (shape.user) {
    case 'clone':
      ops.op('become_root', {}, 'default: user namespace');
      break;
    case 'host':
      ops.op('undumpable', {}, 'default: no attaching');
      join(scene);
      break;
    case 'join':
      prepareOutside(scene, proc.register);
      ops.op('undumpable', {}, 'default: no attaching');
      join(scene);
      ops.op('become_root', {}, 'default: user namespace');
      break;
    case 'unshare':
      prepareOutside(scene, proc.register);
      // Before an ordinary user has written the maps, the entries of /proc for that must be its own. Nobody in the
      // namespaces that are joined could attach to us: we are in the user namespace above theirs.
      if (facts.privileged) ops.op('undumpable', {}, 'default: no attaching');
      join(scene);
      ops.op('unshare', { flags: namespaceFlags.user }, '/linux/namespaces');
      ops.op('sync', { tag: tags.maps }, 'default: user namespace');
      ops.op('become_root', {}, 'default: user namespace');
      break;
  }
  // What it takes of the host's mounts comes first, whatever that will be.
  if (shape.leaves) return;
  if (shape.unshared !== 0) ops.op('unshare', { flags: shape.unshared }, '/linux/namespaces');
  if (shape.time === 'unshared') setClocks(ops, proc.register, scene.request.spec.linux.timeOffsets ?? {});
  proc.close();
  if (shape.forks) ops.op('fork', {}, '/linux/namespaces');
  separateMounts(ops, receives, receives ? '/linux/rootfsPropagation' : 'default: propagation');
  if (hasNetDevices(scene)) ops.op('sync', { tag: tags.network }, '/linux/netDevices');
}

const hasNetDevices = ({ request }: Scene) => Object.keys(request.spec.linux.netDevices ?? {}).length > 0;

/** Once in another user namespace, our entries of /proc are no longer ours, nor is the right to raise limits. */
function prepareOutside({ draft, shape, process, request }: Scene, proc: () => string): void {
  const { opening: ops } = draft;
  setOomScore(ops, proc, process.oomScoreAdj);
  raiseRlimits(ops, process.rlimits ?? []);
  if (shape.time === 'first') addTimeNamespace(ops, proc, request.spec.linux.timeOffsets ?? {});
}

/** Whether `prepareOutside` has set the score. */
export const isScoreSet = ({ user }: SpawnShape) => user === 'join' || user === 'unshare';

function join({ draft, shape: { joined } }: Scene): void {
  if (joined.length === 0) return;
  const registers = new Map(
    joined.map(({ type, path, origin }) => [type, addInput(draft, type, { kind: 'namespace', type, path, origin })]),
  );
  const user = registers.get('user');
  const namespaces = [...registers.values()].filter((register) => register !== user);
  for (const { type, origin } of joined) {
    draft.opening.op('expect_namespace', { src: registers.get(type)!, type: namespaceFlags[type] }, origin);
  }
  draft.opening.op('join', { namespaces, user }, joined[0]!.origin);
}
