import type { Handle, Host } from '../../host/host.ts';
import type { Home } from '../home.ts';
import { inTurn, listPlaces, type Place, readParts, readRecord, readState, tryTurn } from './record.ts';
import { removeDetached, removeFiles } from './remove.ts';

interface Left {
  readonly place: Place;
  readonly lock: Handle;
}

/**
 * Removes what processes have left that were killed while they made a container, or removed one. What cannot be removed now is
 * for the next one: it keeps nobody from anything.
 */
export async function sweepDetached(home: Home): Promise<void> {
  const { host } = home;
  if ((await candidates(host)).length === 0) return;
  for (const { place, lock } of await inTurn(host, undefined, () => claim(host))) {
    await removeParts(home, place)
      .catch(() => undefined)
      .finally(() => lock.close());
  }
}

/** Those that are no containers. That somebody is at work on one is seen by its lock. */
async function candidates(host: Host): Promise<Place[]> {
  const places = await listPlaces(host);
  // One whose record cannot be read is one.
  const whole = await Promise.all(places.map((place) => readRecord(host, place).catch(() => 'unreadable')));
  return places.filter((_, i) => whole[i] === undefined);
}

/** No place is made meanwhile: one that has no lock yet is not taken from under somebody's hands. */
async function claim(host: Host): Promise<Left[]> {
  const left: Left[] = [];
  for (const place of await candidates(host)) {
    const lock = await tryTurn(host, place);
    if (lock !== undefined) left.push({ place, lock });
  }
  return left;
}

async function removeParts(home: Home, place: Place): Promise<void> {
  const { host } = home;
  const record = await readParts(host, place);
  // It may have become whole between the look at it and its lock.
  if (record === undefined && (await readRecord(host, place)) !== undefined) return;
  if (record === undefined) return removeFiles(home, place);
  await removeDetached(home, place, { record, state: await readState(host, place) }, { volumes: true });
}
