import { RuntsError } from '../errors.ts';
import { messageOf } from '../host/undo.ts';
import { nearest } from '../spec/nearest.ts';
import { hasOwn } from '../spec/own.ts';
import { doctor } from './doctor.ts';
import { plan } from './plan.ts';
import { run } from './run.ts';
import type { World } from './world.ts';

interface Command {
  readonly doc: string;
  readonly main: (argv: readonly string[], world: World) => Promise<number>;
}

const commands: Readonly<Record<string, Command>> = {
  run: { doc: 'run a command in a new container and remove it when it ends', main: run },
  plan: { doc: 'print what `run` would do: every op, with the origin of each', main: plan },
  doctor: { doc: 'what this host can do, and for each thing it cannot, why and what to do', main: doctor },
};

const help = `runts: isolated Linux containers, without root and without a daemon

usage: runts COMMAND [OPTIONS] …

${Object.entries(commands)
  .map(([name, { doc }]) => `  ${name.padEnd(10)}${doc}`)
  .join('\n')}

runts COMMAND --help tells about one of them.
`;

/** The whole command line: gives the exit code, never throws. */
export async function main(argv: readonly string[], world: World): Promise<number> {
  try {
    return await dispatch(argv, world);
  } catch (error) {
    world.printError(`runts: ${explain(error)}\n`);
    return RuntsError.is(error) ? error.exit : 125;
  }
}

async function dispatch(argv: readonly string[], world: World): Promise<number> {
  const [name, ...rest] = argv;
  if (name === '--version' || name === '-v') {
    world.print(`runts version ${world.version}\n`);
    return 0;
  }
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    world.print(help);
    return name === undefined ? 125 : 0;
  }
  const command = hasOwn(commands, name) ? commands[name] : undefined;
  if (command === undefined) {
    const close = nearest(name, Object.keys(commands));
    throw new RuntsError('ERR_SPEC', `unknown command ${JSON.stringify(name)}`, {
      hint: close === undefined ? 'runts --help lists the commands.' : `Did you mean ${close}?`,
    });
  }
  return command.main(rest, world);
}

/** An error for a person: its message, and what to do about it. Never a stack: that is for bugs, and ours carry a code. */
function explain(error: unknown): string {
  if (!RuntsError.is(error)) return `internal error: ${messageOf(error)}`;
  const { message, origin, hint } = error;
  // What this version cannot do is named by its place in the configuration, since nobody wrote it on the command line.
  const place = error.code === 'ERR_UNSUPPORTED' && origin !== undefined && !message.includes(origin);
  return [
    message,
    ...(place ? [`  at config ${origin}`] : []),
    ...(hint === undefined ? [] : [`  hint: ${hint}`]),
  ].join('\n');
}
