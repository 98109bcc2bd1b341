import { statfs } from 'node:fs/promises';
import { RuntsError } from '../errors.ts';
import type { Host } from '../host/host.ts';
import { type Kept, keep } from '../host/keepers.ts';
import { frameDeadlineMs } from '../host/session.ts';
import { Undo, withReleaseErrors } from '../host/undo.ts';
import type { MountedVolume, OpenVolumes, VolumePort, VolumesRequest, VolumeWanted } from '../host/volumes.ts';
import { copyDirectory, isEmptyDirectory } from '../layers/copy-directory.ts';
import { containerMaps, ownerMaps } from '../plan/keeper.ts';
import type { VolumeMount } from '../spec/mounts-from-options.ts';
import { clearFill, fill } from './fill.ts';
import { localSource } from './local.ts';
import { mountAgain, mountedAt } from './mounted.ts';
import { newVolumeName } from './names.ts';
import type { Held } from './store.ts';
import { forgetEnded, type Volumes } from './volumes.ts';

/** The volumes of a data directory, for the core. */
export function volumePort(volumes: Volumes, host: Host): VolumePort {
  return {
    newName: newVolumeName,
    open: (request) => openVolumes(volumes, host, request),
    async forget(names) {
      for (const { name, remove } of names) await forget(volumes, name, remove);
    },
    mountAgain: (request) => mountAgain(volumes, host, request),
  };
}

async function forget(volumes: Volumes, name: string, remove: boolean): Promise<void> {
  // One that is not there any more has nobody to be told.
  if ((await volumes.store.get(name)) === undefined) return;
  await volumes.store.withVolume(name, `let go of the volume ${name}`, async (held) => {
    const driver = held.record.driver === 'local' ? undefined : await volumes.driverOf(held.record);
    if (driver !== undefined) await forgetEnded(driver, held);
  });
  if (remove) await removeAll(volumes, [name]);
}

/** What a container has of volumes, while it is being put together. */
interface Opening {
  readonly leaving: Undo;
  readonly volumes: Volumes;
  readonly host: Host;
  readonly request: VolumesRequest;
  readonly undo: Undo;
  readonly signal: AbortSignal;
  readonly mounted: Record<string, MountedVolume>;
}

async function openVolumes(volumes: Volumes, host: Host, request: VolumesRequest): Promise<OpenVolumes> {
  const undo = new Undo();
  const controller = new AbortController();
  const abort = (): void => controller.abort(request.cancel?.reason);
  request.cancel?.addEventListener('abort', abort);
  if (request.cancel?.aborted) abort();
  const leaving = new Undo();
  const mounted: Opening['mounted'] = {};
  const opening: Opening = { leaving, volumes, host, request, undo, signal: controller.signal, mounted };
  try {
    const anonymous = request.volumes.filter((each) => each.anonymous).map(({ name }) => name);
    const keep = anonymous.length === 0 ? undefined : await keepAnonymous(opening, anonymous);
    const mounts: Record<string, VolumeMount> = {};
    for (const wanted of request.volumes) {
      mounts[wanted.name] ??= await openVolume(opening, wanted);
    }
    return {
      mounts,
      mounted,
      async release(options) {
        if (keep !== undefined) keep.value = options.keep;
        leaving.dismiss();
        const [first, ...others] = await undo.run();
        if (first !== undefined) throw withReleaseErrors(first, others);
      },
      async settle() {
        undo.dismiss();
        const [first, ...others] = await leaving.run();
        if (first !== undefined) throw withReleaseErrors(first, others);
      },
    };
  } catch (error) {
    throw withReleaseErrors(error, await undo.run());
  } finally {
    request.cancel?.removeEventListener('abort', abort);
  }
}

/** Volumes without a name go with their container, also when this process is killed: a keeper sees to that. */
async function keepAnonymous(
  { volumes, host, request, undo, leaving }: Opening,
  names: readonly string[],
): Promise<{ value: boolean }> {
  const stay = { value: false };
  // The directory is made with the first volume: the keeper holds it.
  await volumes.store.users();
  const maps = ownerMaps(request.userns, request.facts);
  const directory = await host.files.open(volumes.store.directory, 'directory');
  let kept: Kept;
  try {
    const removals = names.map((name) => ({ what: 'tree', directory, name }) as const);
    kept = await keep(host, { removals, maps }, { deadlineMs: frameDeadlineMs, cancel: request.cancel });
  } finally {
    directory.close();
  }
  leaving.add(() => kept.dismiss());
  undo.add(async () => {
    // What somebody else has taken up meanwhile stays theirs.
    const stays = stay.value || !(await removeAll(volumes, names));
    await (stays ? kept.dismiss() : kept.release());
  });
  return stay;
}

async function removeAll(volumes: Volumes, names: readonly string[]): Promise<boolean> {
  let all = true;
  for (const name of names) {
    await volumes.remove(name, { force: true }).catch((error: unknown) => {
      if (!RuntsError.is(error) || error.code !== 'ERR_STATE') throw error;
      all = false;
    });
  }
  return all;
}

async function openVolume(opening: Opening, wanted: VolumeWanted): Promise<VolumeMount> {
  const { volumes, signal, request } = opening;
  await volumes.ensure(wanted.name, wanted);
  const doing = `use the volume ${wanted.name} for the container ${request.name}`;
  const work = (held: Held) =>
    held.record.driver === 'local' ? openLocal(opening, wanted, held) : openOther(opening, wanted, held);
  return volumes.store.withVolume(wanted.name, doing, work, signal);
}

async function openLocal(
  { host, request, undo, leaving, signal }: Opening,
  wanted: VolumeWanted,
  held: Held,
): Promise<VolumeMount> {
  const { record, directory } = held;
  const source = localSource(record.options);
  if (source.kind === 'tmpfs' && held.uses.live.length > 0) throw notShared(record.name, held);
  const isFirst = held.uses.live.length === 0;
  const use = await held.use(request.name, request.record);
  undo.add(() => use.close());
  leaving.add(() => use.leave());
  held.letOthers();
  if (source.kind === 'tmpfs') return { type: 'tmpfs', source: 'tmpfs', options: source.words };
  if (source.kind === 'bind') return { type: 'bind', source: source.device, options: source.words };
  const data = `${directory}/_data`;
  const maps = ownerMaps(request.userns, request.facts);
  // What another container has is that one's to fill.
  if (request.ofImage && wanted.copy && isFirst && (await isEmptyDirectory(host, data, maps))) {
    await fill(host, directory, { container: request.id, path: wanted.target, maps, signal });
  } else if (held.uses.ended.length > 0) await clearFill(host, directory, maps);
  return { type: 'bind', source: data, options: await ownerWords(request, data) };
}

async function openOther(
  { volumes, host, request, undo, leaving, signal, mounted }: Opening,
  wanted: VolumeWanted,
  held: Held,
): Promise<VolumeMount> {
  const { name, options } = held.record;
  const use = await held.use(request.name, request.record);
  undo.add(() => use.close());
  leaving.add(() => use.leave());
  held.letOthers();
  const driver = await volumes.driverOf(held.record);
  if (driver === undefined) throw new RuntsError('ERR_INTERNAL', `the volume ${name} has no driver`);
  await forgetEnded(driver, held);
  const mountpoint = await driver.mount({ name, options, id: use.id });
  undo.add(() => driver.unmount({ name, options, id: use.id }));
  if (request.record !== undefined) mounted[name] = await mountedAt(host, mountpoint);
  const maps = ownerMaps(request.userns, request.facts);
  if (request.ofImage && wanted.copy && (await isEmptyDirectory(host, mountpoint, maps))) {
    await copyDirectory(host, { container: request.id, path: wanted.target, target: mountpoint, maps, signal });
  }
  return { type: 'bind', source: mountpoint, options: await ownerWords(request, mountpoint) };
}

/** File systems whose mounts can show other owners (mount_setattr(2)), by the number that statfs(2) has for each. */
const mappable: ReadonlySet<number> = new Set([
  0xef53, // ext2, ext3, ext4
  0x58465342, // xfs
  0x9123683e, // btrfs
  0x01021994, // tmpfs
  0xf2f52010, // f2fs
  0xca451a4e, // bcachefs
  0x2fc12fc1, // zfs
  0x00c36400, // ceph
  0xe0f5e1e2, // erofs
]);

/** As root of the host: files have the ids of the container on the disk, and the mount shows them so. */
async function ownerWords({ facts, userns }: VolumesRequest, path: string): Promise<readonly string[]> {
  if (!facts.privileged || containerMaps(userns, facts) === undefined) return [];
  return mappable.has((await statfs(path)).type) ? ['idmap'] : [];
}

function notShared(name: string, { uses }: Held): RuntsError {
  const users = uses.live.map(({ container }) => container).join(', ');
  return new RuntsError('ERR_STATE', `cannot use the volume ${name}: it is in memory, and ${users} has it`, {
    hint: 'A volume of type tmpfs is for one container at a time: it is made when that begins, and goes when it ends.',
  });
}
