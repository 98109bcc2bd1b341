import { RuntsError, specError } from '../errors.ts';
import type { Context } from './command.ts';
import { Log, type LogFormat, type LogLevel, logLevels } from './log.ts';
import { type Flags, isOn, type Parsed, textOf } from './parse.ts';
import { absolute } from './paths.ts';
import type { World } from './world.ts';

const cgroupManagers = ['cgroupfs', 'systemd', 'disabled'] as const;
const formats = ['text', 'json'] as const;
const answers = ['true', 'false', 'auto'] as const;

/** The options before the command: those of runc and those of crun. */
export const globalFlags: Flags = {
  root: { names: ['--root'], value: 'DIR', doc: 'where the state of containers is kept' },
  log: { names: ['--log'], value: 'FILE', doc: 'write the log there instead of to standard error' },
  logFormat: { names: ['--log-format'], value: 'FORMAT', choices: formats, doc: 'text (default) or json' },
  logLevel: {
    names: ['--log-level'],
    value: 'LEVEL',
    choices: logLevels,
    doc: 'how much to log: error, warning (default), info, debug',
  },
  debug: { names: ['--debug'], doc: 'log everything that is asked of the host: --log-level debug' },
  systemdCgroup: {
    names: ['--systemd-cgroup'],
    doc: 'have systemd make the cgroups; cgroupsPath is slice:prefix:name then',
  },
  cgroupManager: {
    names: ['--cgroup-manager'],
    value: 'MANAGER',
    choices: cgroupManagers,
    doc: 'cgroupfs (default), systemd, or disabled for no cgroup at all',
  },
  rootless: {
    names: ['--rootless'],
    value: 'ANSWER',
    choices: answers,
    doc: 'true, false or auto: accepted, and changes nothing: what is possible is found out by trying',
  },
  criu: { names: ['--criu'], value: 'FILE', doc: 'accepted, and not used: there is no checkpoint' },
  version: { names: ['--version', '-v', '-V'], doc: 'print the version' },
  help: { names: ['--help', '-h', '-?', '--usage'], doc: 'print this, or with a command what it does' },
};

/** Checks the options before the command and makes of them what every command gets. */
export function openContext(parsed: Parsed, world: World): Context {
  checkChoices(parsed);
  const log = openLog(parsed, world);
  if (log.debugs) world.trace((line) => log.debug(line));
  return {
    world,
    log,
    get root() {
      const given = textOf(parsed, 'root');
      return given === undefined || given === ''
        ? world.host.environment.stateDirectory
        : absolute(world.host.environment, given);
    },
    cgroupManager: cgroupManager(parsed),
  };
}

/** The log of a command line whose options before the command are wrong. */
export const plainLog = (world: World): Log => new Log(world, { format: 'text', level: 'warning' });

function checkChoices(parsed: Parsed): void {
  const issues = Object.entries(globalFlags).flatMap(([key, { choices, names }]) => {
    const value = textOf(parsed, key);
    if (choices === undefined || value === undefined || choices.includes(value)) return [];
    return [{ path: String(names[0]), message: `must be one of ${choices.join(', ')}, not ${JSON.stringify(value)}` }];
  });
  if (issues.length > 0) throw specError('invalid options', issues);
}

function openLog(parsed: Parsed, world: World): Log {
  const path = logPath(textOf(parsed, 'log'));
  const level = isOn(parsed, 'debug') ? 'debug' : ((textOf(parsed, 'logLevel') ?? 'warning') as LogLevel);
  const format = (textOf(parsed, 'logFormat') ?? 'text') as LogFormat;
  try {
    return new Log(world, { path, format, level });
  } catch (error) {
    throw new RuntsError('ERR_SETUP', `cannot open the log ${path}: ${String((error as Error).message)}`, {
      cause: error,
    });
  }
}

/** crun's `file:PATH` is a path too; its other two kinds are daemons that we do not speak to. */
function logPath(text: string | undefined): string | undefined {
  if (text === undefined || text === '' || text === '/dev/stderr') return undefined;
  if (/^(journald|syslog):/.test(text)) {
    throw new RuntsError('ERR_UNSUPPORTED', `cannot log to ${text}: only files can be logged to`, {
      hint: 'Give --log FILE, or leave it away: then standard error has the log.',
    });
  }
  return text.startsWith('file:') ? text.slice('file:'.length) : text;
}

function cgroupManager(parsed: Parsed): Context['cgroupManager'] {
  const given = textOf(parsed, 'cgroupManager') as Context['cgroupManager'] | undefined;
  return given ?? (isOn(parsed, 'systemdCgroup') ? 'systemd' : 'cgroupfs');
}
