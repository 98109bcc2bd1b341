import { normalizePath } from '../../spec/paths.ts';
import { errnoOf } from '../failure.ts';
import type { Handle, Host } from '../host.ts';
import { attempted, isBusy, isGone, stateOf, textIn, unlessGone, until, words } from './files.ts';

const stuck =
  'A process in uninterruptible sleep (state D) cannot be killed: its file system or device does not answer.';

/** Kills everything in a cgroup and below it, and waits until it is empty. */
export async function killAll(host: Host, path: string): Promise<void> {
  const isEmpty = async (): Promise<boolean> => {
    if ((await stateOf(host, path))?.populated !== true) return true;
    await killOnce(host, path);
    return false;
  };
  await attempted(until(host, isEmpty, `the processes of the cgroup ${path} to end`, stuck), `kill the cgroup ${path}`);
}

/** At once and without a race: frozen processes, too. */
async function killOnce(host: Host, path: string): Promise<void> {
  try {
    await host.cgroups.write(`${path}/cgroup.kill`, '1');
  } catch (error) {
    unlessGone(error);
    // Linux before 5.14, or a file system that shows less: the cgroup is there, its file is not.
    if ((await host.cgroups.kind(path)) === 'directory') await signalAll(host, path);
  }
}

/** While they are frozen they cannot fork; thawed, the signal is the first that they hear. */
async function signalAll(host: Host, path: string): Promise<void> {
  await host.cgroups.write(`${path}/cgroup.freeze`, '1').catch(unlessGone);
  try {
    for (const pid of await processesOf(host, path)) {
      const process = await host.processes.find(pid);
      if (process === undefined) continue;
      try {
        host.processes.signal(process, 9);
      } finally {
        process.close();
      }
    }
  } finally {
    await host.cgroups.write(`${path}/cgroup.freeze`, '0').catch(unlessGone);
  }
}

/** The processes in a cgroup and below it. A 0 is one that our pid namespace does not have. */
export async function processesOf(host: Host, path: string): Promise<number[]> {
  const found: number[] = [];
  const visit = async (at: string): Promise<void> => {
    const text = await textIn(host, at, 'cgroup.procs').catch((error: unknown) => {
      // A threaded cgroup has threads only; their processes stand in the one above that is not.
      if (errnoOf(error) === 'EOPNOTSUPP') return undefined;
      throw error;
    });
    for (const word of words(text ?? '')) if (word !== '0') found.push(Number(word));
    for (const child of await childrenOf(host, at)) await visit(child);
  };
  await attempted(visit(path), `list the processes of the cgroup ${path}`);
  return found;
}

/** Files of a cgroup have such names. Those of a directory that the container made may look the same. */
const controlFile = /^(cgroup|cpu|cpuset|memory|io|pids|hugetlb|rdma|misc|irq|dmem)\.[a-z0-9_.]+$/i;

async function childrenOf(host: Host, path: string, { all = true } = {}): Promise<string[]> {
  const names = await host.cgroups.list(path).catch((error: unknown) => {
    unlessGone(error);
    return [];
  });
  const children: string[] = [];
  for (const name of names) {
    if (!all && controlFile.test(name)) continue;
    const child = `${path}/${name}`;
    if ((await host.cgroups.kind(child)) === 'directory') children.push(child);
  }
  return children;
}

/** Removes a cgroup and all below it, deepest first. They have no processes any more. */
export async function removeTree(host: Host, path: string): Promise<void> {
  // To ask for the kind of each file is slow, and hardly any container names its cgroups like control files.
  let all = false;
  const isRemoved = async (): Promise<boolean> => {
    if (await wasRemoved(host, path)) return true;
    for (const child of await childrenOf(host, path, { all })) await removeTree(host, child);
    all = true;
    return wasRemoved(host, path);
  };
  // The kernel refuses for a moment after the last process has gone.
  await attempted(until(host, isRemoved, `the cgroup ${path} to be removed`, stuck), `remove the cgroup ${path}`);
}

/** What the container made in a cgroup that was there before it. */
export async function removeBelow(host: Host, path: string): Promise<void> {
  for (const child of await childrenOf(host, path)) await removeTree(host, child);
}

async function wasRemoved(host: Host, path: string): Promise<boolean> {
  try {
    await host.cgroups.removeDirectory(path);
  } catch (error) {
    if (isBusy(error)) return false;
    unlessGone(error);
  }
  return true;
}

/** A directory on the way: other containers may live below it, then it is theirs to remove. */
export async function removeShared(host: Host, path: string): Promise<void> {
  const removal = host.cgroups.removeDirectory(path).catch((error: unknown) => {
    if (!isBusy(error) && !isGone(error)) throw error;
  });
  await attempted(removal, `remove the cgroup ${path}`);
}

/** A cgroup by its handle; or one below it, which no `..` leads out of. */
export async function openBelow(host: Host, path: string, below: string): Promise<Handle> {
  const at = `${path}${normalizePath(below)}`.replace(/\/$/, '');
  return attempted(host.cgroups.open(at, 'directory'), `open the cgroup ${at}`);
}
