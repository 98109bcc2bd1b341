import { createContainer, type Created } from '../host/create.ts';
import type { Exit } from '../host/host.ts';
import { kill } from '../host/kill.ts';
import { type Prepared, prepare } from '../host/prepare.ts';
import { probeFacts } from '../host/probe.ts';
import { remove } from '../host/remove.ts';
import { start } from '../host/start.ts';
import { reserve } from '../host/state.ts';
import { withReleaseErrors, Undo } from '../host/undo.ts';
import { tags } from '../plan/plan.ts';
import { containerFlags, containerOptions, newId } from './container-flags.ts';
import { flagHelp, type Parsed, parseFlags } from './parse.ts';
import type { World } from './world.ts';

const flags = {
  ...containerFlags,
  trace: { names: ['--trace'], doc: 'print how long each op took, in microseconds' },
  help: { names: ['--help', '-h'], doc: 'this text' },
};

const usage = `usage: runts run [OPTIONS] SOURCE [--] [COMMAND [ARG …]]
       runts run -b BUNDLE [ID]

Runs a command in a new container and removes it when the command ends. Its exit code is the command's, or 128 + n when
signal n ended it; 125 says that the container could not be made, 126 that the command cannot be executed, 127 that it
was not found.

${flagHelp(flags)}
`;

/** `runts run`: the container lives as long as this call. */
export async function run(argv: readonly string[], world: World): Promise<number> {
  const parsed = parseFlags('run', argv, flags);
  if (parsed.given['help'] === true) {
    world.print(usage);
    return 0;
  }
  const { host } = world;
  const facts = await probeFacts(host);
  const undo = new Undo();
  let exit: Exit;
  try {
    const options = containerOptions(parsed, world.terminal.size());
    const id = options.name ?? newId(host);
    if (options.name !== undefined) {
      const reservation = await reserve(host, id);
      undo.add(() => reservation.release());
    }
    const prepared = await prepare(host, facts, { options, id, ownStdio: false, images: world.images });
    undo.add(() => prepared.release());
    const created = await create(prepared, parsed, world);
    undo.add(() => remove(created));
    exit = await attend(created, world);
  } catch (error) {
    throw withReleaseErrors(error, await undo.run());
  }
  const [first, ...others] = await undo.run();
  if (first !== undefined) throw withReleaseErrors(first, others);
  return exitCode(exit);
}

async function create({ plan, terminal }: Prepared, parsed: Parsed, world: World): Promise<Created> {
  const stdio = terminal ? undefined : world.stdio();
  const trace = (op: number, ns: bigint): void => {
    const { op: name, origin } = plan.segment.ops[op]!;
    world.printError(`${String(Number(ns / 100n) / 10).padStart(9)} us  ${String(op).padStart(3)} ${name}  ; ${origin}\n`);
  };
  try {
    return await createContainer(world.host, plan, { stdio, ...(parsed.given['trace'] === true && { trace }) });
  } finally {
    for (const handle of stdio ?? []) handle.close();
  }
}

/** Starts the command and stays with it: signals that come to us are its, and so is our terminal. */
async function attend(created: Created, { terminal, onSignal }: World): Promise<Exit> {
  const silence = onSignal((signal) => void kill(created, signal));
  const master = created.handles.get(tags.console);
  const joined = master === undefined ? undefined : terminal.join(master);
  try {
    const running = await start(created);
    const exit = await running.exit;
    await joined?.done;
    return exit;
  } finally {
    joined?.release();
    silence();
  }
}

/** As a shell shows it. */
const exitCode = ({ code, signal }: Exit): number => code ?? 128 + (signal ?? 0);
