import { RuntsError } from '../errors.ts';
import type { CgroupPlan } from '../plan/plan.ts';
import { errnoOf, refused } from './failure.ts';
import type { Handle, Host } from './host.ts';
import { Undo, withReleaseErrors } from './undo.ts';

/** A cgroup that a container may live in. */
export interface AppliedCgroup {
  readonly path: string;
  /** For the clone: CLONE_INTO_CGROUP. */
  readonly handle: Handle;
  /** Kills every process in it, at once and without a race. */
  kill(): Promise<void>;
  /** Kills what still is in it, waits until it is empty, and removes the directories that were made. */
  remove(): Promise<void>;
}

/** How long the processes of a killed cgroup may take to be gone. */
const emptyMs = 10_000;
/** Another container that ends may take a shared directory away between two of our steps. */
const attemptsMax = 3;

/**
 * Makes the cgroup of a plan, with its limits. `steady` is the host for the release: it must not stop at a cancellation.
 * A directory that exists is used when nothing lives in it, and stays.
 */
export async function applyCgroup(host: Host, plan: CgroupPlan, steady: Host = host): Promise<AppliedCgroup> {
  for (let attempt = 1; ; attempt++) {
    const undo = new Undo();
    let path: string | undefined;
    try {
      path = await makeDirectories(host, plan, undo, steady);
      for (const { file, value, origin } of plan.writes) {
        const doing = `write ${JSON.stringify(value)} to ${file} of the cgroup`;
        await attempted(host.files.write(`${path}/${file}`, value), doing, origin);
      }
      const handle = await attempted(host.files.open(path, 'directory'), `open the cgroup ${path}`);
      return applied(steady, path, handle, undo);
    } catch (error) {
      const errors = await undo.run();
      const vanished = path === undefined && RuntsError.is(error) && errnoOf(error.cause) === 'ENOENT';
      if (!vanished || attempt === attemptsMax || errors.length > 0) throw withReleaseErrors(error, errors);
    }
  }
}

function applied(host: Host, path: string, handle: Handle, undo: Undo): AppliedCgroup {
  const kill = () => host.files.write(`${path}/cgroup.kill`, '1').catch(unlessGone);
  const killed = async () => {
    await kill();
    await until(host, async () => !(await isPopulated(host, path)), `the processes of the cgroup ${path} to end`);
  };
  return {
    path,
    handle,
    kill,
    async remove() {
      handle.close();
      await attempted(killed(), `kill the cgroup ${path}`);
      await attempted(removeChildren(host, path), `remove the cgroups below ${path}`);
      const errors = await undo.run();
      if (errors.length > 0) throw errors.length === 1 ? errors[0] : withReleaseErrors(errors[0], errors.slice(1));
    },
  };
}

async function makeDirectories(host: Host, plan: CgroupPlan, undo: Undo, steady: Host): Promise<string> {
  const names = plan.path.split('/');
  let above = plan.parent;
  for (const [i, name] of names.entries()) {
    if (name === '' || name === '.' || name === '..') {
      throw new RuntsError('ERR_INTERNAL', `${JSON.stringify(plan.path)} is not a path below ${plan.parent}`);
    }
    await enableControllers(host, above, plan.controllers);
    const path = `${above}/${name}`;
    const leaf = i === names.length - 1;
    if (await makeMissing(host, path)) undo.add(() => (leaf ? removeLeaf(steady, path) : removeShared(steady, path)));
    else if (leaf) await refuseOccupied(host, path);
    above = path;
  }
  return above;
}

/** For the children of a directory; only what is not enabled yet, since a directory with processes refuses any write. */
async function enableControllers(host: Host, path: string, controllers: readonly string[]): Promise<void> {
  if (controllers.length === 0) return;
  const file = `${path}/cgroup.subtree_control`;
  const enabled = words(await attempted(host.files.read(file), `read ${file}`));
  const missing = controllers.filter((controller) => !enabled.includes(controller));
  if (missing.length === 0) return;
  const doing = `enable ${missing.join(', ')} below the cgroup ${path}`;
  await attempted(host.files.write(file, missing.map((controller) => `+${controller}`).join(' ')), doing);
}

async function makeMissing(host: Host, path: string): Promise<boolean> {
  try {
    await host.files.makeDirectory(path, 0o755);
    return true;
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') return false;
    throw refused(error, { at: 'cgroup', doing: `make the cgroup ${path}` });
  }
}

/** The end of a container kills all of its cgroup: it must not begin with other people's processes in it. */
async function refuseOccupied(host: Host, path: string): Promise<void> {
  if (!(await isPopulated(host, path))) return;
  throw new RuntsError('ERR_EXISTS', `the cgroup ${path} is in use by other processes`, {
    hint: 'Choose another id, or another linux.cgroupsPath.',
  });
}

async function isPopulated(host: Host, path: string): Promise<boolean> {
  try {
    return /^populated 1$/m.test(await host.files.read(`${path}/cgroup.events`));
  } catch (error) {
    unlessGone(error);
    return false;
  }
}

/** A directory on the way: other containers may live below it, then it is theirs to remove. */
async function removeShared(host: Host, path: string): Promise<void> {
  const removal = host.files.removeDirectory(path).catch((error: unknown) => {
    if (!isOccupied(error)) unlessGone(error);
  });
  await attempted(removal, `remove the cgroup ${path}`);
}

async function removeLeaf(host: Host, path: string): Promise<void> {
  // The kernel refuses for a moment after the last process has gone.
  const removal = until(host, () => removed(host, path), `the cgroup ${path} to be removed`);
  await attempted(removal, `remove the cgroup ${path}`);
}

async function removed(host: Host, path: string): Promise<boolean> {
  try {
    await host.files.removeDirectory(path);
  } catch (error) {
    if (isOccupied(error)) return false;
    unlessGone(error);
  }
  return true;
}

/** Cgroups that the container made for itself, deepest first. */
async function removeChildren(host: Host, path: string): Promise<void> {
  const names = await host.files.list(path).catch((error: unknown) => {
    unlessGone(error);
    return [];
  });
  for (const name of names) {
    // The files of a cgroup have names with a dot; only some of the children do, and asking for each file is slow.
    if (/^(cgroup|cpu|cpuset|memory|io|pids|hugetlb|rdma|misc|irq|dmem)\.[a-z0-9_.]+$/i.test(name)) continue;
    const child = `${path}/${name}`;
    if ((await host.files.kind(child)) !== 'directory') continue;
    await removeChildren(host, child);
    await removeLeaf(host, child);
  }
}

/** Asks again and again, ever less often, for ten seconds at most. */
async function until(host: Host, done: () => Promise<boolean>, what: string): Promise<void> {
  const start = host.clock.now();
  for (let pauseMs = 1; !(await done()); pauseMs = Math.min(pauseMs * 2, 50)) {
    if (host.clock.now() - start >= emptyMs) {
      throw new RuntsError('ERR_TIMEOUT', `waited ${emptyMs} ms for ${what}`, {
        hint: 'A process in uninterruptible sleep (state D) cannot be killed: its file system or device does not answer.',
      });
    }
    await host.clock.after(pauseMs).done;
  }
}

async function attempted<T>(work: Promise<T>, doing: string, origin?: string): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw refused(error, { at: 'cgroup', doing, origin });
  }
}

const words = (text: string) => text.split(/\s+/).filter((word) => word !== '');
const isOccupied = (error: unknown) => ['EBUSY', 'ENOTEMPTY'].includes(errnoOf(error) ?? '');

/** What is gone needs no release. */
function unlessGone(error: unknown): void {
  if (!['ENOENT', 'ENODEV'].includes(errnoOf(error) ?? '')) throw error;
}
