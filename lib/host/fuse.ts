import type { Facts } from '../plan/facts.ts';
import { fuseProgram, fuseTag } from '../plan/fuse.ts';
import type { FuseInput } from '../plan/plan.ts';
import type { Patience } from './bounded.ts';
import type { Handle, Host } from './host.ts';
import { startServer } from './server.ts';
import type { Undo } from './undo.ts';

export interface LayersSources {
  readonly input: FuseInput;
  /** The user namespace of the container, and a mount of the layers: as the input says. They stay the caller's. */
  readonly user: Handle | undefined;
  readonly layers: Handle | undefined;
  readonly facts: Facts;
}

/** Starts the program that serves the files of layers as one tree, and gives its mount, which is the caller's to close. */
export async function serveLayers(
  host: Host,
  { input, user, layers, facts }: LayersSources,
  patience: Patience,
  servers: Undo,
): Promise<Handle> {
  const nothing = host.kernel.blob(new Uint8Array());
  const inputs = [nothing, user, layers].filter((handle) => handle !== undefined);
  try {
    return await startServer(host, { segment: fuseProgram(input, facts), inputs, facts, tag: fuseTag }, patience, {
      servers,
    });
  } finally {
    nothing.close();
  }
}
