import { RuntsError } from '../../errors.ts';
import type { CgroupPlan } from '../../plan/plan.ts';
import { errnoOf, refused } from '../failure.ts';
import type { Host } from '../host.ts';
import { Undo, withReleaseErrors } from '../undo.ts';
import type { Cgroup, CgroupRecord } from './cgroup.ts';
import { enableControllers } from './controllers.ts';
import { attempted, stateOf, textIn, unlessGone, words } from './files.ts';
import { writeLimits } from './limits.ts';
import { openCgroup } from './open.ts';
import { openBelow, removeShared, removeTree } from './removal.ts';
import { intendScope } from './scope.ts';

/** Another container that ends may take a shared directory away between two of our steps. */
const attemptsMax = 5;

const elsewhere = 'Choose another id, or another linux.cgroupsPath.';
const notEmpty = (path: string) => `container's cgroup is not empty: other processes are in ${path}`;

// ---- before ------------------------------------------------------------------------------------------------------------

/** Every directory from the parent down, the parent first. */
function directoriesOf({ parent, path }: CgroupPlan): string[] {
  const directories = [parent];
  for (const name of path.split('/')) {
    if (name === '' || name === '.' || name === '..') {
      throw new RuntsError('ERR_INTERNAL', `${JSON.stringify(path)} is not a path below ${parent}`);
    }
    directories.push(`${directories[directories.length - 1]}/${name}`);
  }
  return directories;
}

/**
 * What is going to be made, for a record that is written before anything is. Changes nothing; refuses a cgroup that cannot
 * be used: occupied, frozen, threaded.
 */
export async function intendCgroup(host: Host, plan: CgroupPlan): Promise<CgroupRecord> {
  if (plan.unit !== undefined) return intendScope(host, plan, plan.unit);
  const directories = directoriesOf(plan);
  const path = directories[directories.length - 1]!;
  let there = directories[0]!;
  for (const directory of directories.slice(1)) {
    const kind = await attempted(host.cgroups.kind(directory), `look at the cgroup ${directory}`);
    if (kind === undefined) break;
    if (kind !== 'directory') {
      const message = `cannot make the cgroup ${directory}: a control file has this name`;
      throw new RuntsError('ERR_SPEC', message, { hint: elsewhere });
    }
    there = directory;
  }
  await refuseUnusable(host, there, path);
  return { driver: 'cgroupfs', path, made: directories.slice(directories.indexOf(there) + 1) };
}

/** The end of a container kills all of its cgroup: it must not begin with other people's processes in it. */
async function refuseUnusable(host: Host, there: string, path: string): Promise<void> {
  const hint = elsewhere;
  const state = await attempted(stateOf(host, there), `look at the cgroup ${there}`);
  if (there === path && state?.populated) {
    throw new RuntsError('ERR_EXISTS', notEmpty(path), { hint });
  }
  if (state?.frozen) {
    const message = `container's cgroup unexpectedly frozen: nothing would run in ${path}, since ${there} is`;
    throw new RuntsError('ERR_STATE', message, { hint: `Thaw it (write 0 to cgroup.freeze). ${hint}` });
  }
  const type = (await attempted(textIn(host, there, 'cgroup.type'), `look at the cgroup ${there}`))?.trim() ?? '';
  if (type !== '' && type !== 'domain') {
    const message = `cannot use the cgroup ${path}: ${there} is of the type "${type}", which has threads and no processes`;
    throw new RuntsError('ERR_STATE', message, { hint });
  }
}

// ---- making it ---------------------------------------------------------------------------------------------------------

/**
 * Makes the cgroup of a plan: directories, controllers, limits, device filter, owner. What fails leaves nothing. `steady` is
 * the host for the release: it must not stop at a cancellation. The record of what it gives counts from now on: another
 * container may have taken away what was there.
 */
export async function makeCgroup(
  host: Host,
  plan: CgroupPlan,
  record: CgroupRecord,
  steady: Host = host,
): Promise<Cgroup> {
  for (let attempt = 1; ; attempt++) {
    const undo = new Undo();
    try {
      const made = await makeDirectories(host, plan, record, steady, undo);
      await writeLimits(host, record.path, plan.writes);
      if (plan.deviceFilter !== undefined) await filterDevices(host, record.path, plan.deviceFilter);
      if (plan.owner !== undefined) await giveAway(host, record.path, plan.owner);
      return openCgroup(steady, { ...record, made });
    } catch (error) {
      const raced =
        RuntsError.is(error) && errnoOf(error.cause) === 'ENOENT' && (await isReplaced(steady, plan, record));
      const errors = await undo.run();
      if (!raced || attempt === attemptsMax || errors.length > 0) throw withReleaseErrors(error, errors);
    }
  }
}

/**
 * Whether a directory on the way has gone, or is another one by now: the controllers that we enabled for the children of
 * the one before are not enabled in it.
 */
async function isReplaced(host: Host, { controllers }: CgroupPlan, { path }: CgroupRecord): Promise<boolean> {
  const there = await textIn(host, path, 'cgroup.controllers').catch(() => undefined);
  return there === undefined || controllers.some((name) => !words(there).includes(name));
}

async function makeDirectories(
  host: Host,
  plan: CgroupPlan,
  record: CgroupRecord,
  steady: Host,
  undo: Undo,
): Promise<string[]> {
  const made = new Set(record.made);
  const directories = directoriesOf(plan);
  const controllers = { needed: plan.controllers, wanted: plan.wanted, writes: plan.writes };
  for (const [i, above] of directories.entries()) {
    const path = directories[i + 1];
    if (path === undefined) break;
    await enableControllers(host, above, controllers);
    const leaf = path === record.path;
    if (await makeMissing(host, path)) {
      made.add(path);
      undo.add(() => (leaf ? removeTree(steady, path) : removeShared(steady, path)));
    } else if (leaf) await refuseTaken(host, record);
  }
  // The outermost first, whatever came when.
  return [...made].sort((a, b) => a.length - b.length);
}

/** False where it is there already. */
async function makeMissing(host: Host, path: string): Promise<boolean> {
  try {
    await host.cgroups.makeDirectory(path, 0o755);
    return true;
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') return false;
    if (RuntsError.is(error)) throw error;
    const { message, ...why } = refused(error, {
      at: 'cgroup',
      doing: `make the cgroup ${path}`,
      origin: '/linux/cgroupsPath',
    });
    throw new RuntsError('ERR_SETUP', `unable to apply cgroup configuration: ${message}`, why);
  }
}

/** There was none a moment ago, or nobody was in it: whoever was faster has it. */
async function refuseTaken(host: Host, { path, made }: CgroupRecord): Promise<void> {
  const state = await attempted(stateOf(host, path), `look at the cgroup ${path}`);
  if (!made.includes(path) && !state?.populated) return;
  throw new RuntsError('ERR_EXISTS', notEmpty(path), { hint: elsewhere });
}

export async function filterDevices(host: Host, path: string, program: Uint8Array): Promise<void> {
  const handle = await openBelow(host, path, '');
  try {
    const attachment = host.kernel.filterDevices(handle, program);
    await attempted(attachment, `filter the devices of the cgroup ${path}`, '/linux/resources/devices');
  } finally {
    handle.close();
  }
}

/** Where the kernel does not say, what has been so from the start (cgroups(7), "Delegation"). */
const delegable = 'cgroup.procs cgroup.threads cgroup.subtree_control';

/** What a delegated cgroup consists of, and nothing else: its limits stay ours. */
export async function giveAway(host: Host, path: string, uid: number): Promise<void> {
  const files = words(await host.files.read('/sys/kernel/cgroup/delegate').catch(() => delegable));
  const give = async () => {
    for (const file of files) await host.cgroups.setOwner(`${path}/${file}`, uid, -1).catch(unlessGone);
    await host.cgroups.setOwner(path, uid, -1);
  };
  await attempted(give(), `give the cgroup ${path} to user ${uid}`);
}
