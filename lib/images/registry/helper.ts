import { accessSync, constants, statSync } from 'node:fs';
import { isAbsolute, join } from 'node:path';
import { RuntsError } from '../../errors.ts';
import type { RunResult } from '../../host/host.ts';
import { run } from '../../node/run.ts';
import { printable } from './failure.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** What a helper keeps for a server; a user name of `<token>` says that the secret is an identity token. */
export interface Kept {
  readonly username: string;
  readonly secret: string;
}

const timeoutMs = 60_000;
/** What helpers say where they keep nothing for a server. */
const nothing = /credentials not found/i;

/** Asks docker-credential-NAME for what it keeps; undefined where it keeps nothing. */
export async function helperGet(name: string, server: string, environment: Environment): Promise<Kept | undefined> {
  const result = await runProgram(name, 'get', server, environment);
  if (result.code !== 0) {
    if (nothing.test(result.stdout + result.stderr)) return undefined;
    throw failed(name, `get the credentials for ${server}`, result);
  }
  let kept: Record<string, unknown>;
  try {
    kept = Object(JSON.parse(result.stdout));
  } catch {
    kept = {};
  }
  const { Username: username, Secret: secret } = kept;
  if (typeof username === 'string' && typeof secret === 'string') return { username, secret };
  throw new RuntsError(
    'ERR_REGISTRY',
    `the credential helper ${programOf(name)} answered something else than credentials`,
    {
      hint: 'Is it a helper for Docker, of the version that its registry wants?',
    },
  );
}

export async function helperStore(name: string, server: string, kept: Kept, environment: Environment): Promise<void> {
  const input = JSON.stringify({ ServerURL: server, Username: kept.username, Secret: kept.secret });
  const result = await runProgram(name, 'store', input, environment);
  if (result.code !== 0) throw failed(name, `keep the credentials for ${server}`, result);
}

export async function helperErase(name: string, server: string, environment: Environment): Promise<void> {
  const result = await runProgram(name, 'erase', server, environment);
  if (result.code !== 0 && !nothing.test(result.stdout + result.stderr)) {
    throw failed(name, `forget the credentials for ${server}`, result);
  }
}

function programOf(name: string): string {
  return `docker-credential-${name}`;
}

/** The secret goes by standard input: arguments can be read by everybody on the machine. */
function runProgram(name: string, verb: string, input: string, environment: Environment): Promise<RunResult> {
  const file = findProgram(name, environment['PATH'] ?? '');
  return run(file, [verb], { input, environment: scrubbed(environment), timeoutMs });
}

/** In the directories of PATH that are absolute: never in the working directory, which may be anybody's. */
function findProgram(name: string, path: string): string {
  if (!/^[A-Za-z0-9_][A-Za-z0-9_.-]*$/.test(name)) {
    throw new RuntsError('ERR_SPEC', `${JSON.stringify(name)} is no name of a credential helper`, {
      hint: 'credsStore and credHelpers name the NAME of a program docker-credential-NAME.',
    });
  }
  const found = path
    .split(':')
    .filter(isAbsolute)
    .map((directory) => join(directory, programOf(name)))
    .find(isProgram);
  if (found !== undefined) return found;
  throw new RuntsError('ERR_NOT_FOUND', `there is no ${programOf(name)} in PATH, which Docker's config.json names`, {
    hint: 'Install it, or take credsStore and credHelpers out of the configuration.',
  });
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

/** Helpers find their own configuration by the environment; what would alter how they are loaded stays out. */
function scrubbed(environment: Environment): string[] {
  return Object.entries(environment)
    .filter(([key, value]) => value !== undefined && !/^(?:LD_|NODE_|BASH_ENV$|ENV$)/.test(key))
    .map(([key, value]) => `${key}=${value}`);
}

function failed(name: string, doing: string, { stdout, stderr, code, timedOut }: RunResult): RuntsError {
  const why = timedOut ? `no end after ${timeoutMs / 1000} s` : printable(stderr || stdout) || `exit code ${code}`;
  return new RuntsError('ERR_REGISTRY', `${programOf(name)} cannot ${doing}: ${why}`);
}
