import type { Command } from '../command.ts';
import { underSignals } from '../signals.ts';
import { onlyId } from './common.ts';
import { createRequest, makeFlags } from './make.ts';

/** `runts create`. */
export const create: Command = {
  synopsis: ['[OPTIONS] ID'],
  text: `Makes a container of a bundle: a directory with a config.json (OCI runtime specification) and a root file system.
Its command waits for \`start\`. A command with a terminal (process.terminal) needs --console-socket.`,
  flags: makeFlags,
  grammar: { anywhere: true, lenient: true },
  async main(parsed, context) {
    const id = onlyId('create', parsed);
    const { host } = context.world;
    const [{ create: make }, { probeFacts }] = await Promise.all([
      import('../../host/oci/create.ts'),
      import('../../host/probe.ts'),
    ]);
    return underSignals(context.world, async (signals) => {
      const request = await createRequest(parsed, context, id, true, signals);
      try {
        const made = await make(host, await probeFacts(host, { ofDirectory: true }), request);
        made.release();
      } finally {
        for (const handle of request.stdio ?? []) handle.close();
      }
      return 0;
    });
  },
};
