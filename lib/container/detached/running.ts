import { openCgroup } from '../../host/cgroups/open.ts';
import type { Handle } from '../../host/host.ts';
import type { Home } from '../home.ts';
import type { Running } from '../joined.ts';
import type { DetachedRecord, DetachedState } from './record.ts';

interface Lives {
  readonly record: DetachedRecord;
  readonly state: DetachedState;
  readonly process: Handle;
}

/** A container that runs, as who joins it has to know it. The process stays the caller's. */
export function runningOf(home: Home, { record, state, process }: Lives, tell: () => void): Running {
  const { host } = home;
  const cgroup = state.cgroup && openCgroup(host, state.cgroup);
  return {
    id: record.id,
    home,
    outlives: true,
    prepared: { spec: record.request.spec, plan: { maps: state.maps } },
    created: {
      session: { pid: state.process?.pid as number, process },
      // A cgroup that others made must be entered, and not be born in.
      cgroup: cgroup && { path: cgroup.record.path, handle: undefined, enter: (pid) => cgroup.enter(pid) },
    },
    ended: host.processes.ended(process).catch(() => new Promise(() => {})),
    tell,
  };
}
