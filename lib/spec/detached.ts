import type { Issue } from '../errors.ts';
import type { RestartPolicy, RestartPolicyName } from './options.ts';

type Options = Readonly<Record<string, unknown>>;

/** What a container that outlives its maker cannot have, by option: why. */
const refused: Readonly<Record<string, (value: unknown) => string | undefined>> = {
  from: (value) =>
    value === undefined
      ? undefined
      : 'is not for detached: true, for a snapshot goes with its runtime; an image of `images.commit` stays',
  stdin: (value) =>
    value === undefined || value === 'ignore'
      ? undefined
      : 'must be "ignore" with detached: true, for nobody stays to write to it; `spawn` has an input',
  stdout: ownStream,
  stderr: ownStream,
  tty: (value) =>
    value === undefined || value === false
      ? undefined
      : 'is not for detached: true, for nobody stays to hold the terminal; `spawn` has terminals',
  init: (value) =>
    value === false ? 'must not be false with detached: true: process 1 keeps the log and the exit status' : undefined,
};

function ownStream(value: unknown): string | undefined {
  return value === undefined ? undefined : 'is not for detached: true: what it writes is in its log';
}

/** What does not go with `detached`, and what goes with nothing else. */
export function detachedFaults(options: Options): Issue[] {
  if (options['detached'] === true) {
    return Object.entries(refused).flatMap(([name, fault]) => {
      const message = fault(options[name]);
      return message === undefined ? [] : [{ path: `/${name}`, message }];
    });
  }
  const log = options['log'] === undefined ? [] : [{ path: '/log', message: 'is for detached: true only' }];
  return [...log, ...restartFaults(options)];
}

/** What cannot be had again for each start of a container that ends with us. */
const once: Readonly<Record<string, string>> = {
  stdin: 'must be "ignore" or "inherit" with a restart policy, for what is written is read once; `spawn` has an input',
  stdout: 'must be "pipe", "ignore" or "inherit" with a restart policy: a descriptor may be another file by then',
  stderr: 'must be "pipe", "ignore" or "inherit" with a restart policy: a descriptor may be another file by then',
  tty: 'is not for a restart policy, for a terminal ends with its command; `spawn` has terminals',
};

function restartFaults(options: Options): Issue[] {
  const { restart, stdin, stdout, stderr, tty } = options;
  const { policy } = restartPolicy(restart as RestartPolicyName | RestartPolicy | undefined);
  if (policy === 'no') return [];
  const wrong = {
    stdin: stdin === 'pipe' || typeof stdin === 'number',
    stdout: typeof stdout === 'number',
    stderr: typeof stderr === 'number',
    tty: tty !== undefined && tty !== false,
  };
  return Object.entries(wrong).flatMap(([name, is]) => (is ? [{ path: `/${name}`, message: once[name]! }] : []));
}

/** A policy in its long form. */
export function restartPolicy(given: RestartPolicyName | RestartPolicy | undefined): RestartPolicy {
  return typeof given === 'object' && given !== null ? given : { policy: given ?? 'no' };
}
