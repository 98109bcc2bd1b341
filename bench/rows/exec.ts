import { newId, type Peer, spawned } from '../peers.ts';
import type { Row, Subject } from '../row.ts';

/** One more command in a container that runs. */
export const exec: Row = {
  key: 'exec',
  title: '`true` in a running container, from a Node program',
  subjects: async (world) => {
    const { runtime, bundle, limit } = world;
    const container = await runtime.createContainer({ bundle: bundle.idle, stdout: 'ignore', stderr: 'ignore' });
    await container.start();
    const peers = await Promise.all(world.peers.map((peer) => inPeer(peer)));
    return [
      {
        name: 'C program',
        once: () => limit.ms(`exec ${container.pid}`),
        close: () => container.remove({ force: true }),
      },
      { name: 'runts', once: async () => void (await container.exec(['/bin/true'])) },
      { name: 'runts, another each time', once: async () => void (await container.exec(['/bin/true', newId()])) },
      ...peers.filter((peer) => peer !== undefined),
    ];
  },
};

async function inPeer({ name, missing, stay, exec: command, remove }: Peer): Promise<Subject | undefined> {
  if (stay === undefined || command === undefined || remove === undefined) return undefined;
  const id = newId();
  if (missing !== undefined) return { name, missing, once: () => Promise.resolve() };
  await spawned(stay(id));
  return { name, once: () => spawned(command(id, ['/bin/true'])), close: () => spawned(remove(id)) };
}
