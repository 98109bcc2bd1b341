import { createContainer } from '../host/create.ts';
import type { Exit } from '../host/host.ts';
import { prepare } from '../host/prepare.ts';
import { probeFacts } from '../host/probe.ts';
import { start, type Running } from '../host/start.ts';
import { tags } from '../plan/plan.ts';
import { containerFlags, containerOptions } from './container-flags.ts';
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
  const { host, terminal } = world;
  const options = terminalOptions(parsed, world);
  const prepared = await prepare(host, await probeFacts(host), options, world.images);
  const { plan } = prepared;
  const stdio = world.stdio();
  try {
    const trace: string[] = [];
    const created = await createContainer(host, plan, {
      stdio,
      ...(parsed.given['trace'] === true && { trace: (op: number, ns: bigint) => trace.push(`${op} ${ns}`) }),
    });
    try {
      const running = await start(created);
      const master = created.handles.get(tags.console);
      const joined = master === undefined ? undefined : terminal.join(master);
      const silence = world.onSignal((signal) => void host.processes.signal(running.process, signal));
      try {
        const exit = await running.exit;
        await joined?.done;
        return exitCode(exit);
      } finally {
        silence();
        joined?.release();
      }
    } finally {
      await created.remove();
    }
  } finally {
    for (const handle of stdio) handle.close();
    await prepared.release();
  }
}
