import { RuntsError } from '../errors.ts';
import { nearest } from '../spec/nearest.ts';
import { hasOwn } from '../spec/own.ts';
import type { Command } from './command.ts';
import { type CommandRow, commands } from './commands.ts';
import { explain, explainInLine } from './explain.ts';
import { globalFlags, openContext, plainLog } from './globals.ts';
import { type Parsed, parseFlags } from './parse.ts';
import type { World } from './world.ts';

/** Every command has it; help.ts, which describes it, is loaded when it is asked for. */
const helpNames = ['--help', '-h', '-?', '--usage'];

/** The whole command line: gives the exit code, never throws. */
export async function main(argv: readonly string[], world: World): Promise<number> {
  let log = plainLog(world);
  let command: Command | undefined;
  let understood = false;
  try {
    const globals = parseFlags(world.name, argv, globalFlags, { lenient: true });
    const [verb, ...words] = globals.rest;
    if (globals.given['version'] === true) return await printVersion(world);
    const asked = verb === 'help' || globals.given['help'] === true;
    if (asked || verb === undefined) return await help(verb === 'help' ? words[0] : verb, asked ? 0 : 1, world);
    const context = openContext(globals, world);
    log = context.log;
    const row = rowOf(verb);
    command = await row.load(words);
    const parsed = parseCommand(verb, words, command);
    // Of the two forms of `run` one has the help of both; a command of `image` has its own.
    if (parsed.given['help'] === true) {
      return await commandHelp(verb, row.doc, command.docker === true ? await row.load([]) : command, world);
    }
    understood = true;
    return await command.main(parsed, context);
  } catch (error) {
    const several = command?.docker === true || world.terminal.errors;
    const line = explainInLine(error);
    const bare = log.isFile || (!several && RuntsError.is(error) && error.code === 'ERR_EXEC');
    log.error(line, `${bare ? '' : `${world.name}: `}${several ? explain(error) : line}`);
    if (command?.docker === true) return RuntsError.is(error) ? error.exit : 125;
    return understood ? (command?.failure ?? 1) : 1;
  }
}

function rowOf(verb: string): CommandRow {
  const row = hasOwn(commands, verb) ? commands[verb] : undefined;
  if (row !== undefined) return row;
  const close = nearest(verb, Object.keys(commands));
  throw new RuntsError('ERR_SPEC', `No help topic for '${verb}': there is no such command`, {
    hint: close === undefined ? '--help lists the commands.' : `Did you mean ${close}?`,
  });
}

function parseCommand(verb: string, words: readonly string[], command: Command): Parsed {
  const { flags, grammar } = command;
  const all = { ...flags, help: { names: helpNames, doc: '' } };
  return parseFlags(verb, words, all, grammar);
}

// ---- help and version: loaded only here --------------------------------------------------------------------------------

/** Without a command it is what `--help` prints; nothing was done then, which the exit code says. */
async function help(verb: string | undefined, code: number, world: World): Promise<number> {
  if (verb !== undefined) {
    const { doc, load } = rowOf(verb);
    return commandHelp(verb, doc, await load([]), world);
  }
  const { generalHelp } = await import('./help.ts');
  world.print(generalHelp(world.name));
  return code;
}

async function commandHelp(verb: string, doc: string, command: Command, world: World): Promise<number> {
  const { commandHelp: text } = await import('./help.ts');
  world.print(text(world.name, verb, doc, command));
  return 0;
}

async function printVersion(world: World): Promise<number> {
  const { versionText } = await import('./version.ts');
  world.print(versionText(world));
  return 0;
}
