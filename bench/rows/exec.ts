import { newId, type Peer, spawned } from '../peers.ts';
import type { Row, Subject } from '../row.ts';
import type { World } from '../world.ts';

/** One more command in a container that runs, time and again. */
export const exec: Row = {
  key: 'exec',
  title: '`true` in a running container, from a Node program',
  subjects: async (world) => {
    const ours = await inOurs(world, () => ['/bin/true']);
    const peers = await Promise.all(world.peers.map((peer) => inPeer(world, peer)));
    return [...ours, ...peers.filter((peer) => peer !== undefined)];
  },
};

/** One that was not asked for before. */
export const execOther: Row = {
  key: 'exec-other',
  title: '`true` with another argument each time, in a running container',
  subjects: (world) => inOurs(world, () => ['/bin/true', newId()]),
};

async function inOurs({ runtime, bundle, limit }: World, command: () => readonly string[]): Promise<Subject[]> {
  const container = await runtime.createContainer({ bundle: bundle.idle, stdout: 'ignore', stderr: 'ignore' });
  await container.start();
  const close = () => container.remove({ force: true });
  return [
    { name: 'C program', once: () => limit.ms(`exec ${container.pid}`), close },
    { name: 'runts', once: async () => void (await container.exec(command())) },
  ];
}

async function inPeer({ spawnedMs }: World, peer: Peer): Promise<Subject | undefined> {
  const { name, missing, stay, exec: command, remove } = peer;
  if (stay === undefined || command === undefined || remove === undefined) return undefined;
  const id = newId();
  if (missing !== undefined) return { name, missing, once: () => Promise.resolve() };
  await spawned(stay(id));
  return { name, once: () => spawnedMs(command(id, ['/bin/true'])), close: () => spawned(remove(id)) };
}
