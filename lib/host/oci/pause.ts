import { RuntsError } from '../../errors.ts';
import type { Cgroup } from '../cgroups/cgroup.ts';
import { openCgroup } from '../cgroups/open.ts';
import type { Host } from '../host.ts';
import { operation } from './operation.ts';
import { type Status, statusOf } from './state.ts';
import { openLocked, theRecord } from './store.ts';

/** Stops every process of a container where it is (cgroup.freeze), until it is resumed. */
export const pauseContainer = (host: Host, root: string, id: string): Promise<void> =>
  operation(host, `pause container ${id}`, (ports) =>
    freezing(ports, root, id, ['created', 'running'], 'pause', (cgroup) => cgroup.freeze()),
  );

export const resumeContainer = (host: Host, root: string, id: string): Promise<void> =>
  operation(host, `resume container ${id}`, (ports) =>
    freezing(ports, root, id, ['paused'], 'resume', (cgroup) => cgroup.thaw()),
  );

async function freezing(
  host: Host,
  root: string,
  id: string,
  from: readonly Status[],
  what: 'pause' | 'resume',
  work: (cgroup: Cgroup) => Promise<void>,
): Promise<void> {
  const entry = await openLocked(host, root, id);
  try {
    const record = await theRecord(host, entry);
    const status = await statusOf(host, entry, record);
    if (!from.includes(status)) {
      const why = what === 'pause' ? 'container not running or created' : 'container not paused';
      throw new RuntsError('ERR_STATE', `cannot ${what} ${id}: ${why}: ${status}`);
    }
    if (record.cgroup === undefined) {
      throw new RuntsError('ERR_UNSUPPORTED', `cannot ${what} ${id}: it has no cgroup of its own`, {
        hint: 'An ordinary user needs a delegated cgroup: run below a systemd scope or service with Delegate=yes.',
      });
    }
    await work(openCgroup(host, record.cgroup));
  } finally {
    entry.close();
  }
}
