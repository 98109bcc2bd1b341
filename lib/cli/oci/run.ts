import type { CreateRequest, Made } from '../../host/oci/create.ts';
import type { Record } from '../../host/oci/record.ts';
import { messageOf } from '../../host/undo.ts';
import type { Spec } from '../../spec/types.ts';
import type { Command, Context } from '../command.ts';
import { isOn } from '../parse.ts';
import { dockerFlags, runSynopsis, runText, sourceFlags } from '../run-words.ts';
import { interruptible, type Signals, underSignals } from '../signals.ts';
import { attend, joined } from './attend.ts';
import { onlyId } from './common.ts';
import { createRequest, makeFlags } from './make.ts';

/** `runts run` of a bundle; with --host, --rootfs or --image on the line lib/cli/run.ts has its place. */
export const run: Command = {
  synopsis: runSynopsis,
  text: runText,
  flags: {
    ...makeFlags,
    detach: { names: ['--detach', '-d'], doc: 'do not wait for the command' },
    keep: { names: ['--keep'], doc: 'do not remove the container when it has ended' },
    ...sourceFlags,
  },
  otherFlags: { title: 'options without a bundle', flags: dockerFlags },
  grammar: { anywhere: true, lenient: true },
  async main(parsed, context) {
    const id = onlyId('run', parsed);
    const detach = isOn(parsed, 'detach');
    return underSignals(context.world, async (signals) => {
      const request = await createRequest(parsed, context, id, detach, signals);
      const made = await make(request, context);
      return await go(made, { detach, keep: isOn(parsed, 'keep') }, context, signals);
    });
  },
};

async function make(request: CreateRequest, { world }: Context): Promise<Made> {
  const [{ create }, { probeFacts }] = await Promise.all([
    import('../../host/oci/create.ts'),
    import('../../host/probe.ts'),
  ]);
  try {
    return await create(world.host, await probeFacts(world.host, { ofDirectory: true }), { ...request, starts: true });
  } finally {
    for (const handle of request.stdio ?? []) handle.close();
  }
}

interface How {
  readonly detach: boolean;
  readonly keep: boolean;
}

/** From a container that is made to its end. */
async function go(made: Made, { detach, keep }: How, { world, root, log }: Context, signals: Signals): Promise<number> {
  const { startMade } = await import('../../host/oci/start.ts');
  const { record, spec, process } = made.waiting;
  const warn = (message: string): void => log.warn(message);
  let stays = false;
  let began = false;
  try {
    signals.hold();
    return await joined(made.console, world, async (shown) => {
      await startMade(world.host, made.waiting, { warn, interruptible: interruptible(world) });
      began = true;
      stays = detach || keep;
      if (detach) return 0;
      const signal = (number: number): void => void world.host.processes.signal(process, number);
      return await attend({ exit: made.exit, signal, console: made.console }, signals, shown);
    });
  } finally {
    made.release();
    if (!stays) await clear(record, spec, { world, root, warn });
    const { pidFile } = record;
    // Of a container that never ran, it would name whoever gets the number next.
    if (!began && pidFile !== undefined) await world.host.files.removeFile(pidFile).catch(() => undefined);
  }
}

/** What the command came to is known by now: that something of it is left is told, and changes nothing. */
async function clear(
  only: Record,
  spec: Spec,
  { world, root, warn }: Pick<Context, 'world' | 'root'> & { readonly warn: (message: string) => void },
): Promise<void> {
  const { removeContainer } = await import('../../host/oci/delete.ts');
  const remove = () =>
    removeContainer(world.host, root, only.id, {
      force: true,
      only,
      spec,
      warn,
      interruptible: interruptible(world),
    });
  try {
    // Nobody is going to come for it: what went wrong for a moment only is tried again.
    await remove().catch(remove);
  } catch (error) {
    warn(`cannot remove container ${only.id}: ${messageOf(error)}`);
  }
}
