import { RuntsError } from '../../errors.ts';
import type { CgroupRecord } from '../cgroups/cgroup.ts';
import { eventData } from '../cgroups/event-data.ts';
import { watchOom } from '../cgroups/oom.ts';
import { readStats } from '../cgroups/stats.ts';
import type { Host } from '../host.ts';
import { findProcess } from './process.ts';
import type { Record } from './record.ts';
import { openUnlocked, theRecord } from './store.ts';

/** What a container uses, in the form that `runc events` gave it. */
export type Stats = ReturnType<typeof eventData>;

export type ContainerEvent =
  | { readonly type: 'stats'; readonly id: string; readonly data: Stats }
  /** The kernel killed one of its processes, since its memory ran out. */
  | { readonly type: 'oom'; readonly id: string };

export async function containerStats(host: Host, root: string, id: string): Promise<Stats> {
  const record = await theRecord(host, openUnlocked(root, id));
  if (!(await isAlive(host, record))) throw new RuntsError('ERR_STATE', `container is not running: ${id}`);
  return eventData(await readStats(host, cgroupOf(record)));
}

/** Its use again and again, and what happens between, until it has ended. */
export async function* containerEvents(
  host: Host,
  root: string,
  id: string,
  { intervalMs }: { readonly intervalMs: number },
): AsyncGenerator<ContainerEvent, void> {
  const record = await theRecord(host, openUnlocked(root, id));
  const cgroup = cgroupOf(record);
  if (!(await isAlive(host, record))) throw new RuntsError('ERR_STATE', `container is not running: ${id}`);
  const oom = await watchOom(host, cgroup);
  try {
    let memory = oom.next();
    for (;;) {
      const timer = host.clock.after(intervalMs);
      const what = await Promise.race([memory, timer.done.then(() => 'interval' as const)]);
      timer.cancel();
      if (what === undefined) return;
      if (what === 'oom') {
        yield { type: 'oom', id };
        memory = oom.next();
        continue;
      }
      if (!(await isAlive(host, record))) return;
      const stats = await readStats(host, cgroup).catch(() => undefined);
      if (stats === undefined) return;
      yield { type: 'stats', id, data: eventData(stats) };
    }
  } finally {
    oom.close();
  }
}

function cgroupOf({ id, cgroup }: Record): CgroupRecord {
  if (cgroup !== undefined) return cgroup;
  throw new RuntsError('ERR_UNSUPPORTED', `cannot tell what container ${id} uses: it has no cgroup of its own`, {
    hint: 'An ordinary user needs a delegated cgroup: run below a systemd scope or service with Delegate=yes.',
  });
}

async function isAlive(host: Host, record: Record): Promise<boolean> {
  const process = await findProcess(host, record);
  process?.close();
  return process !== undefined;
}
