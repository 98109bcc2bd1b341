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
  return ['log', 'restart']
    .filter((name) => options[name] !== undefined)
    .map((name) => ({ path: `/${name}`, message: 'is for detached: true only' }));
}

/** A policy in its long form. */
export function restartPolicy(given: RestartPolicyName | RestartPolicy | undefined): RestartPolicy {
  return typeof given === 'object' ? given : { policy: given ?? 'no' };
}
