import { RuntsError } from '../../errors.ts';
import { checkControllers, hasIdleWeight, type Present, presentFiles, updateWrites } from '../../plan/cgroup.ts';
import type { CgroupFacts, Facts } from '../../plan/facts.ts';
import type { CgroupWrite } from '../../plan/plan.ts';
import type { Resources } from '../../spec/types.ts';
import type { Host } from '../host.ts';
import { withReleaseErrors } from '../undo.ts';
import type { CgroupRecord } from './cgroup.ts';
import { enableAlong } from './controllers.ts';
import { attempted, textIn, words } from './files.ts';
import { writeLimits } from './limits.ts';
import { setScopeLimits } from './scope.ts';

/**
 * Changes the limits of a container that exists. Everything that can be known before is checked before the first write;
 * where the kernel refuses one of them all the same, those before it are taken back. (Not those by device, such as io.max:
 * they are lines of one file, and a line that was not there cannot be written.)
 */
export async function updateCgroup(
  host: Host,
  record: CgroupRecord,
  resources: Resources,
  facts: Facts,
  warn: (message: string) => void = () => undefined,
): Promise<void> {
  const { path, unit } = record;
  const present = await presentIn(host, path);
  let writes = updateWrites(resources, present);
  if (unit !== undefined && hasIdleWeight(resources)) {
    warn('unable to apply both cpu.weight and cpu.idle with systemd: cpu.weight is ignored');
    writes = writes.filter(({ file }) => file !== 'cpu.weight');
  }
  if (resources.memory?.checkBeforeUpdate) await checkUsage(host, path, resources);
  await giveControllers(host, path, writes, facts.cgroup);
  for (const write of writes) await refuseMissing(host, path, write);
  const before = await contentsOf(host, path, writes);
  // First: systemd would write its old values again at its next reload.
  if (unit !== undefined) await setScopeLimits(host, record, writes);
  await writeAll(host, record, writes, before);
}

async function presentIn(host: Host, path: string): Promise<Present> {
  if ((await attempted(host.cgroups.kind(path), `look at the cgroup ${path}`)) !== 'directory') {
    throw new RuntsError('ERR_STATE', `cannot change the limits: the cgroup ${path} is gone`);
  }
  const present: Record<string, string> = {};
  for (const file of presentFiles) {
    const text = await attempted(textIn(host, path, file), `read ${file} of the cgroup`);
    if (text !== undefined) present[file] = text.trim();
  }
  return present;
}

/** Below what is in use already, the kernel would kill processes until it fits. */
async function checkUsage(host: Host, path: string, { memory = {} }: Resources): Promise<void> {
  const usage = (await attempted(textIn(host, path, 'memory.current'), 'read memory.current of the cgroup'))?.trim();
  if (usage === undefined) return;
  for (const [what, key] of [['memory', 'limit'] as const, ['memory+swap', 'swap'] as const]) {
    const limit = memory[key];
    if (limit === undefined || limit <= 0 || BigInt(limit) > BigInt(usage)) continue;
    throw new RuntsError('ERR_STATE', `rejecting ${what} limit ${limit}: ${usage} bytes are in use`, {
      origin: `/memory/${key}`,
      hint: 'Give more, or leave checkBeforeUpdate away: then the kernel kills processes until it fits.',
    });
  }
}

/** A container need not have had the controller of a limit that it gets now. */
async function giveControllers(
  host: Host,
  path: string,
  writes: readonly CgroupWrite[],
  facts: CgroupFacts,
): Promise<void> {
  const has = words((await textIn(host, path, 'cgroup.controllers')) ?? '');
  const lacking = writes.filter(({ controller }) => controller !== undefined && !has.includes(controller));
  if (lacking.length === 0) return;
  const known = [facts.parent, facts.mount].find((each) => each !== undefined && path.startsWith(`${each}/`));
  // Right above it, where it is away from everything that we know.
  const top = known ?? path.slice(0, path.lastIndexOf('/'));
  checkControllers(lacking, facts, top);
  const needed = [...new Set(lacking.flatMap(({ controller }) => controller ?? []))];
  await enableAlong(host, top, path, { needed, writes });
}

async function refuseMissing(
  host: Host,
  path: string,
  { file, or = [], optional, origin }: CgroupWrite,
): Promise<void> {
  if (optional) return;
  for (const way of [file, ...or.map((other) => other.file)]) {
    if ((await attempted(host.cgroups.kind(`${path}/${way}`), `look at ${way} of the cgroup`)) !== undefined) return;
  }
  throw new RuntsError('ERR_UNSUPPORTED', `cannot set ${file}: this kernel has no such limit\n  at config ${origin}`, {
    origin,
  });
}

/** What the files have now that are going to be written; without those by device, whose lines say only what is set. */
async function contentsOf(
  host: Host,
  path: string,
  writes: readonly CgroupWrite[],
): Promise<ReadonlyMap<string, string>> {
  const before = new Map<string, string>();
  for (const { file } of writes) {
    const text = byDevice.test(file)
      ? undefined
      : await attempted(textIn(host, path, file), `read ${file} of the cgroup`);
    if (text !== undefined) before.set(file, text.trim());
  }
  return before;
}

async function writeAll(
  host: Host,
  record: CgroupRecord,
  writes: readonly CgroupWrite[],
  before: ReadonlyMap<string, string>,
): Promise<void> {
  const written: CgroupWrite[] = [];
  try {
    await writeLimits(host, record.path, writes, (write) => written.push(write));
  } catch (error) {
    // systemd has been told of all of them, and may have written them itself.
    const back = (record.unit === undefined ? written : [...writes]).reverse();
    throw withReleaseErrors(error, await takeBack(host, record, back, before));
  }
}

const byDevice = /^(io|rdma|misc|dmem)\./;

async function takeBack(
  host: Host,
  record: CgroupRecord,
  written: readonly CgroupWrite[],
  before: ReadonlyMap<string, string>,
): Promise<readonly unknown[]> {
  const old = written.flatMap((write) => {
    const value = before.get(write.file);
    return value === undefined ? [] : [{ ...write, or: undefined, value: value === '' ? '\n' : value }];
  });
  const errors: unknown[] = [];
  const note = (error: unknown) => errors.push(error);
  if (record.unit !== undefined) await setScopeLimits(host, record, old).catch(note);
  for (const write of old) await writeLimits(host, record.path, [write]).catch(note);
  return errors;
}
