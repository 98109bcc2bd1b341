import { RuntsError } from '../errors.ts';
import type { Spec } from '../spec/types.ts';
import type { ContainerRequest } from './container.ts';

const hookNames = ['prestart', 'createRuntime', 'createContainer', 'startContainer', 'poststart', 'poststop'] as const;

/** Refuses what would otherwise be left out silently. */
export function refuseUnsupported(request: ContainerRequest): void {
  const { spec, start, reap, noPivot } = request;
  const { rootfsPropagation } = spec.linux;
  if (start !== 'socket') refuseHooks(spec);
  if (start === 'socket' && reap) {
    throw new RuntsError('ERR_UNSUPPORTED', 'a container that is started over a socket has no reaper', {
      hint: 'Its command is process 1, as the runtime specification has it.',
    });
  }
  if (noPivot && (rootfsPropagation === 'private' || rootfsPropagation === 'rprivate')) {
    const message = `${rootfsPropagation} is not safe without pivot_root: the host's mounts would stay within reach`;
    const origin = '/linux/rootfsPropagation';
    throw new RuntsError('ERR_SPEC', message, { origin, issues: [{ path: origin, message }] });
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
