import { RuntsError } from '../errors.ts';
import { without } from '../host/lifetime.ts';
import { localDriver } from './local.ts';
import { readRecord } from './record.ts';
import type { Held } from './store.ts';
import { forgetEnded, removeHeld, type Volumes } from './volumes.ts';

/**
 * Removes the volumes that went with an ephemeral runtime that has ended, unless somebody else uses them, and unmounts those
 * of plugins that killed processes had. `removed` hears of each that goes.
 */
export async function reapVolumes(volumes: Volumes, runtime: string, removed: (name: string) => void): Promise<void> {
  for (const name of await volumes.store.strays()) await clear(volumes, name, runtime);
  for (const record of await volumes.store.list()) {
    if (record.goesWith?.includes(runtime) && (await leave(volumes, record.name, runtime))) removed(record.name);
  }
  for (const name of await volumes.store.abandoned()) await endUses(volumes, name);
  await volumes.store.sweep();
}

/** What was half made, or half removed. Who makes it still has its lock, and is waited for. */
async function clear(volumes: Volumes, name: string, runtime: string): Promise<void> {
  const record = await readRecord(`${volumes.store.directory}/${name}`);
  if (record?.goesWith?.includes(runtime) && record.driver !== localDriver && record.found !== true) {
    // Its driver may have heard of it or not.
    const driver = await volumes.driverOf(record).catch(() => undefined);
    await driver?.remove({ name, options: record.options }).catch(() => undefined);
  }
  await ifThere(() => volumes.store.withVolume(name, `clear the volume ${name}`, async () => undefined));
}

/** Whether it is gone. */
async function leave(volumes: Volumes, name: string, runtime: string): Promise<boolean> {
  const gone = await ifThere(() =>
    volumes.store.withVolume(name, `remove the volume ${name}`, async (held: Held) => {
      const { goesWith, found, ...rest } = held.record;
      if (goesWith?.includes(runtime) !== true) return false;
      const left = without(goesWith, runtime, held.uses.live.length > 0);
      if (left.kind === 'stays') {
        const others = left.goesWith === undefined ? {} : { goesWith: left.goesWith };
        await held.change({ ...rest, ...(found && { found }), ...others });
        return false;
      }
      // A driver that has gone, with the program that it was in perhaps, hears of nothing any more.
      await removeHeld(volumes, held, { force: true, keep: found === true });
      return true;
    }),
  );
  return gone === true;
}

async function endUses(volumes: Volumes, name: string): Promise<void> {
  await ifThere(() =>
    volumes.store.withVolume(name, `unmount the volume ${name}`, async (held) => {
      // To look at them is to clear them; a driver is to hear of it too.
      held.letOthers();
      if (held.record.driver === localDriver) return volumes.store.clearFill(name);
      const driver = await volumes.driverOf(held.record).catch(() => undefined);
      if (driver !== undefined) await forgetEnded(driver, held);
    }),
  );
}

/** Others remove volumes too. */
async function ifThere<T>(work: () => Promise<T>): Promise<T | undefined> {
  return work().catch((error: unknown) => {
    if (RuntsError.is(error) && error.code === 'ERR_NOT_FOUND') return undefined;
    throw error;
  });
}
