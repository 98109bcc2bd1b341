import type { Host, Watch } from '../host.ts';
import type { CgroupRecord } from './cgroup.ts';
import { attempted, stateOf, textIn } from './files.ts';
import { flatKeyed } from './parse.ts';

/** Hears of what the kernel kills for want of memory. */
export interface OomWatch {
  /** `oom` for each process that was killed since the watch began; undefined once the cgroup is empty or gone. */
  next(): Promise<'oom' | undefined>;
  close(): void;
}

/** Watches a cgroup. Without the memory controller nothing is ever killed in it, and only its end is heard of. */
export async function watchOom(host: Host, { path }: CgroupRecord): Promise<OomWatch> {
  const kills = async (): Promise<bigint> => flatKeyed(await textIn(host, path, 'memory.events'))['oom_kill'] ?? 0n;
  const doing = `watch the cgroup ${path}`;
  let seen = await attempted(kills(), doing);
  const hasMemory = (await attempted(textIn(host, path, 'memory.events'), doing)) !== undefined;
  const watches: Watch[] = [];
  const close = (): void => {
    for (const watch of watches) watch.close();
  };
  try {
    for (const file of ['cgroup.events', ...(hasMemory ? ['memory.events'] : [])]) {
      watches.push(await attempted(host.cgroups.watch(`${path}/${file}`), doing));
    }
  } catch (error) {
    close();
    throw error;
  }
  const pending = new Map<Watch, Promise<void>>();
  const changed = (watch: Watch): Promise<void> => {
    const known = pending.get(watch);
    if (known !== undefined) return known;
    const change = watch.changed().finally(() => pending.delete(watch));
    // Heard of by whoever waits for it; nobody has to be when the watch is closed.
    change.catch(() => undefined);
    pending.set(watch, change);
    return change;
  };
  return {
    async next() {
      for (;;) {
        const waits = watches.map(changed);
        if (seen < (await attempted(kills(), doing))) {
          seen += 1n;
          return 'oom';
        }
        if ((await attempted(stateOf(host, path), doing))?.populated !== true) return undefined;
        // A file that is removed cannot be watched any more: then there is no state either.
        await Promise.race(waits).catch((error: unknown) => ended(host, path, error));
      }
    },
    close,
  };
}

async function ended(host: Host, path: string, error: unknown): Promise<void> {
  if ((await stateOf(host, path)) !== undefined) await attempted(Promise.reject(error), `watch the cgroup ${path}`);
}
