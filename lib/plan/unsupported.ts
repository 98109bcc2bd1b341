import { RuntsError } from '../errors.ts';
import type { Spec } from '../spec/types.ts';
import type { ContainerRequest } from './container.ts';

const hookNames = ['prestart', 'createRuntime', 'createContainer', 'startContainer', 'poststart', 'poststop'] as const;

/** Refuses what would otherwise be left out silently. */
export function refuseUnsupported(request: ContainerRequest): void {
  const { spec, start, oci, reap, noPivot } = request;
  const { rootfsPropagation } = spec.linux;
  if (oci !== true) refuseHooks(spec);
  if (start !== 'socket' && (spec.hooks?.startContainer ?? []).length > 0) {
    throw new RuntsError('ERR_INTERNAL', 'hooks of the start, and no socket by which they would be given the state');
  }
  if (oci === true && reap) {
    throw new RuntsError('ERR_UNSUPPORTED', 'a container of the OCI has no reaper', {
      hint: 'Its command is process 1, as the runtime specification has it.',
    });
  }
  if (request.outlive !== undefined) refuseToOutlive(request);
  if (noPivot && (rootfsPropagation === 'private' || rootfsPropagation === 'rprivate')) {
    const message = `${rootfsPropagation} is not safe without pivot_root: the host's mounts would stay within reach`;
    const origin = '/linux/rootfsPropagation';
    throw new RuntsError('ERR_SPEC', message, { origin, issues: [{ path: origin, message }] });
  }
}

/** What a process 1 that nobody looks after cannot be, or must not have. */
function refuseToOutlive({ spec, reap, stdio, root }: ContainerRequest): void {
  const refuse = (what: string, hint: string): never => {
    throw new RuntsError('ERR_UNSUPPORTED', `a detached container cannot have ${what}`, { hint });
  };
  if (!reap) refuse('its command as process 1', 'Leave `init` away: process 1 keeps its log and its exit status.');
  if (stdio === 'terminal')
    refuse('a terminal', 'Nobody would hold its other side. `exec` and `spawn` have terminals.');
  const pid = spec.linux.namespaces.find(({ type }) => type === 'pid');
  if (pid === undefined || pid.path !== undefined) {
    refuse('the PID namespace of somebody else', 'Its processes go with process 1, which must be its own.');
  }
  if ((spec.process?.capabilities?.bounding ?? []).includes('CAP_SYS_PTRACE')) {
    const why =
      'With it the command could write into files of the host that process 1 holds: its log, its exit status.';
    refuse('CAP_SYS_PTRACE', why);
  }
  if (root.kind === 'overlay' && root.layers.server !== undefined) {
    refuse('a file system that a program serves (fuse-overlayfs)', "Take the graph driver 'overlay' or 'copy'.");
  }
}

/** Who runs a container in its own process can do itself what a hook does. */
function refuseHooks({ hooks }: Spec): void {
  const asked = hookNames.find((name) => (hooks?.[name] ?? []).length > 0);
  if (asked === undefined) return;
  throw new RuntsError('ERR_UNSUPPORTED', 'hooks: not supported by createContainer', {
    origin: `/hooks/${asked}`,
    hint: 'Leave them away, or use the command line: `runts run` runs hooks.',
  });
}
