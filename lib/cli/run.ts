import { RuntsError } from '../errors.ts';
import { type Created, createContainer } from '../host/create.ts';
import type { Exit } from '../host/host.ts';
import { kill } from '../host/kill.ts';
import { type Prepared, prepare } from '../host/prepare.ts';
import { probeFacts } from '../host/probe.ts';
import { remove } from '../host/remove.ts';
import { start } from '../host/start.ts';
import { reserve } from '../host/state.ts';
import { Undo, withReleaseErrors } from '../host/undo.ts';
import type { Facts } from '../plan/facts.ts';
import { tags } from '../plan/plan.ts';
import { traceLine } from '../program/trace.ts';
import type { Command } from './command.ts';
import { containerOptions, newId } from './container-flags.ts';
import type { Parsed } from './parse.ts';
import { dockerFlags, runSynopsis, runText } from './run-words.ts';
import { type Signals, underSignals } from './signals.ts';
import type { World } from './world.ts';

/** `runts run` without a bundle: the container lives as long as this call. The help of both is that of lib/cli/oci/run.ts. */
export const run: Command = {
  synopsis: runSynopsis,
  text: runText,
  flags: dockerFlags,
  docker: true,
  main: (parsed, { world }) => runFromFlags(parsed, world),
};

async function runFromFlags(parsed: Parsed, world: World): Promise<number> {
  return underSignals(world, async (signals) => {
    return exitCode(await runToEnd(parsed, world, signals));
  });
}

async function runToEnd(parsed: Parsed, world: World, signals: Signals): Promise<Exit> {
  const { host } = world;
  const undo = new Undo();
  let exit: Exit;
  try {
    const options = containerOptions(parsed, world.terminal.size());
    if (parsed.given['tty'] === true && parsed.given['interactive'] === true) needTerminal(world.terminal.input);
    const facts = await probeFacts(host);
    const id = options.name ?? newId(host);
    if (options.name !== undefined) {
      const reservation = await reserve(host, id, signals);
      undo.add(() => reservation.release());
    }
    const request = { options, id, ownStdio: false, images: world.images, volumes: world.volumes, cancel: signals };
    const prepared = await prepare(host, facts, request);
    undo.add(() => prepared.release());
    const created = await create(prepared, facts, parsed, world, signals);
    undo.add(() => remove(created));
    exit = await attend(created, world, signals);
  } catch (error) {
    throw withReleaseErrors(error, await undo.run());
  }
  const [first, ...others] = await undo.run();
  if (first !== undefined) throw withReleaseErrors(first, others);
  return exit;
}

function needTerminal(present: boolean): void {
  if (present) return;
  throw new RuntsError('ERR_SPEC', 'the standard input is not a terminal, as -i and -t together want it', {
    hint: 'Leave -t away: then the command reads what is piped to us.',
  });
}

async function create(
  { plan, terminal }: Prepared,
  facts: Facts,
  parsed: Parsed,
  world: World,
  signal: Signals,
): Promise<Created> {
  const stdio = terminal ? undefined : world.stdio();
  const trace = (op: number, ns: bigint): void => {
    world.printError(`${traceLine(plan.segment.ops[op]!, op, ns)}\n`);
  };
  try {
    const tracing = parsed.given['trace'] === true && { trace };
    return await createContainer(world.host, plan, { stdio, signal, facts, ...tracing });
  } finally {
    for (const handle of stdio ?? []) handle.close();
  }
}

/** Starts the command and stays with it: signals that come to us are its, and so is our terminal. */
async function attend(created: Created, { terminal }: World, signals: Signals): Promise<Exit> {
  const master = created.handles.get(tags.console);
  const joined = master === undefined ? undefined : terminal.join(master);
  try {
    signals.hold();
    const running = await start(created);
    signals.passTo((signal) => void kill(created, signal));
    const exit = await running.exit;
    await joined?.done;
    return exit;
  } finally {
    joined?.release();
  }
}

/** As a shell shows it. */
const exitCode = ({ code, signal }: Exit): number => code ?? 128 + (signal ?? 0);
