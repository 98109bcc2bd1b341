import { setTimeout } from 'node:timers/promises';
import { openCgroup } from '../host/cgroups/open.ts';
import type { Handle, Host } from '../host/host.ts';
import { usualMaps } from '../host/image.ts';
import { removeTrees } from '../host/layers.ts';
import { probeFacts } from '../host/probe.ts';
import { Images } from '../images/images.ts';
import { reapImages } from '../images/reap.ts';
import { graphDrivers, UnpackedLayers } from '../images/unpacked.ts';
import { createHost } from '../node/host.ts';
import type { Facts } from '../plan/facts.ts';
import { reapVolumes } from '../volumes/reap.ts';
import { Volumes } from '../volumes/volumes.ts';
import { ephemeralRuntimes, type Made, Place, type Settings } from './place.ts';

/** Where an ephemeral runtime has made things. */
export interface Scene {
  readonly host: Host;
  facts(): Promise<Facts>;
  readonly images: Images;
  readonly unpacked: UnpackedLayers;
  readonly volumes: Volumes;
  /** Hears of volumes that go. */
  removed?(volume: string): void;
}

/** How long the keepers of containers may take to remove them: then they were killed too. */
const keepersMs = 20_000;
/** How long a process that has ended may still seem to be there. */
const lockMs = 20_000;
const pauseMs = 20;

/** Removes all that an ephemeral runtime has made, but for what others have come to use. */
export async function reap(scene: Scene, runtime: string, { containers, blobs }: Made): Promise<void> {
  const { host, images, unpacked, volumes } = scene;
  const directory = `${host.environment.dataDirectory}/containers`;
  await endContainers(scene, directory, containers);
  const outcomes = await Promise.allSettled([
    reapVolumes(volumes, runtime, (name) => scene.removed?.(name)),
    (async () => reapImages({ store: await images.store(), unpacked, containers: directory, runtime, blobs }))(),
  ]);
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
}

/** Each has a keeper of its own, which removes it; where that is gone too, it is done here. */
async function endContainers({ host, facts }: Scene, directory: string, ids: readonly string[]): Promise<void> {
  const isThere = async (id: string) =>
    (await host.files.kind(`${directory}/${id}`).catch(() => undefined)) !== undefined;
  const giveUp = performance.now() + keepersMs;
  for (const id of ids) {
    while ((await isThere(id)) && performance.now() < giveUp) await setTimeout(pauseMs);
    if (await isThere(id)) await removeTrees(host, directory, [id], usualMaps(await facts()).stored);
    await removeCgroup(host, (await facts()).cgroup.parent, id);
  }
}

/** One that was made just before its keeper. Who has named another place for it has to look for it there. */
async function removeCgroup(host: Host, parent: string | undefined, id: string): Promise<void> {
  const path = `${parent}/${id}`;
  if (parent === undefined || (await host.files.kind(path).catch(() => undefined)) !== 'directory') return;
  await openCgroup(host, { driver: 'cgroupfs', path, made: [path] }).remove();
}

/** Cleans up after an ephemeral runtime whose process has ended. Nothing is done while it has not, or another one does it. */
export async function reapEnded(settings: Settings): Promise<void> {
  const place = new Place(settings.root, settings.id);
  const locked = await place.tryLock();
  if (locked === undefined) return;
  await reapLocked(settings, place, locked);
}

/** The same, by its keeper, which hears of the end before the kernel has ended all of the process. */
export async function inherit(settings: Settings): Promise<void> {
  const place = new Place(settings.root, settings.id);
  await place.removeBeginning();
  const giveUp = performance.now() + lockMs;
  for (;;) {
    const locked = await place.tryLock();
    if (locked !== undefined) return reapLocked(settings, place, locked);
    if (performance.now() > giveUp || !(await place.isThere())) return;
    await setTimeout(pauseMs);
  }
}

/** Cleans up after all ephemeral runtimes of a data directory whose processes have ended, and their keepers with them. */
export async function reapAllEnded(root: string): Promise<void> {
  for (const settings of await ephemeralRuntimes(root)) await reapEnded({ ...settings, root });
}

async function reapLocked(settings: Settings, place: Place, locked: Handle): Promise<void> {
  try {
    await reap(sceneOf(settings), settings.id, await place.made());
    await place.remove();
  } finally {
    locked.close();
  }
}

function sceneOf({ root, state, driver: asked, plugins }: Settings): Scene {
  const ports = createHost();
  const host = { ...ports, environment: { ...ports.environment, dataDirectory: root, stateDirectory: state } };
  let found: Promise<Facts> | undefined;
  const facts = () => {
    found ??= probeFacts(host);
    return found;
  };
  const driver = graphDrivers.find((each) => each === asked);
  const unpacked = new UnpackedLayers({ host, facts, driver });
  return {
    host,
    facts,
    unpacked,
    images: new Images({ directory: root, unpacked }),
    volumes: new Volumes({ host, maps: async () => usualMaps(await facts()).stored, plugins }),
  };
}
