import type { Place, Shape } from './place.ts';
import type { Traced } from './traced.ts';

/** One command line, what there is before it, and what must hold when it says that it succeeded. */
export interface Scenario {
  readonly name: string;
  /** For an ordinary user: where there are no cgroups for it, some commands can do nothing. */
  readonly ordinary: boolean;
  readonly before: (place: Place) => readonly (readonly string[])[];
  readonly command: (place: Place) => readonly string[];
  /** Not the command line, but a program that uses the library, with these arguments. */
  readonly library?: true;
  /** What `state` says after a success; undefined where there is no container then. */
  readonly after?: readonly string[] | undefined;
  /** A failure leaves nothing, even before `delete --force`. */
  readonly atomic?: true;
}

const create = (place: Place, shape: Shape) => [
  'create',
  '--bundle',
  place.bundle(shape, 'sleep'),
  '--pid-file',
  place.pidFile,
  ...(shape === 'terminal' ? ['--console-socket', place.consoleSocket] : []),
  place.id,
];
const made = (place: Place) => [create(place, 'plain')];
const running = (place: Place) => [...made(place), ['start', place.id]];

const shapes = (['plain', 'userns', 'terminal'] as const).flatMap((shape): Scenario[] => [
  {
    name: `create-${shape}`,
    ordinary: true,
    before: () => [],
    command: (place) => create(place, shape),
    after: ['created'],
    atomic: true,
  },
  {
    name: `start-${shape}`,
    ordinary: true,
    before: (place) => [create(place, shape)],
    command: ({ id }) => ['start', id],
    after: ['running'],
  },
]);

export const scenarios: readonly Scenario[] = [
  ...shapes,
  {
    name: 'run',
    ordinary: true,
    before: () => [],
    command: (place) => ['run', '--bundle', place.bundle('plain', 'true'), place.id],
    atomic: true,
  },
  {
    name: 'run-detached',
    ordinary: true,
    before: () => [],
    command: (place) => [
      'run',
      '-d',
      '--pid-file',
      place.pidFile,
      '--bundle',
      place.bundle('userns', 'sleep'),
      place.id,
    ],
    after: ['running'],
    atomic: true,
  },
  {
    name: 'run-rootfs',
    ordinary: true,
    before: () => [],
    command: (place) => ['run', '--rootfs', `${place.path}/rootfs`, 'true'],
    atomic: true,
  },
  {
    name: 'library',
    ordinary: true,
    before: () => [],
    command: (place) => place.library,
    library: true,
    atomic: true,
  },
  {
    name: 'exec',
    ordinary: true,
    before: running,
    command: ({ id }) => ['exec', id, 'true'],
    after: ['running'],
  },
  {
    name: 'exec-detached',
    ordinary: true,
    before: running,
    command: ({ consoleSocket, pidFile, id }) => [
      ...['exec', '-d', '-t', '--console-socket', consoleSocket, '--pid-file', pidFile],
      ...[id, 'sleep', '1000'],
    ],
    after: ['running'],
  },
  {
    name: 'kill',
    ordinary: true,
    before: running,
    command: ({ id }) => ['kill', id, 'KILL'],
    after: ['stopped', 'running'],
  },
  {
    name: 'kill-all',
    ordinary: false,
    before: running,
    command: ({ id }) => ['kill', '--all', id, 'TERM'],
    after: ['stopped', 'running'],
  },
  {
    name: 'delete',
    ordinary: true,
    before: made,
    command: ({ id }) => ['delete', id],
  },
  {
    name: 'delete-force',
    ordinary: true,
    before: (place) => [create(place, 'userns'), ['start', place.id]],
    command: ({ id }) => ['delete', '--force', id],
  },
  { name: 'state', ordinary: true, before: running, command: ({ id }) => ['state', id], after: ['running'] },
  { name: 'list', ordinary: true, before: running, command: () => ['list'], after: ['running'] },
  { name: 'ps', ordinary: false, before: running, command: ({ id }) => ['ps', id], after: ['running'] },
  { name: 'pause', ordinary: false, before: running, command: ({ id }) => ['pause', id], after: ['paused'] },
  {
    name: 'resume',
    ordinary: false,
    before: (place) => [...running(place), ['pause', place.id]],
    command: ({ id }) => ['resume', id],
    after: ['running'],
  },
  {
    name: 'update',
    ordinary: false,
    before: running,
    command: (place) => ['update', '--resources', `${place.path}/devices.json`, place.id],
    after: ['running'],
  },
];

const stackTrace = /^ {4,}at .+[:(]|node:internal|Assertion|FATAL|\bUnhandled|\[object /m;

/** What is wrong with how a command ended; undefined where it is as it should be. */
export function misbehaviour({ code, signal, stuck, stderr, hit }: Traced): string | undefined {
  if (stuck !== undefined) return `did not end: ${stuck.join('; ')}`;
  if (signal !== undefined) return `ended by signal ${signal}: ${stderr}`;
  if (stackTrace.test(stderr)) return `showed a stack trace: ${stderr}`;
  const unheard = hit?.subject.endsWith('/stderr') === true;
  if (code !== 0 && stderr.trim() === '' && !unheard) return `failed with ${code} and said nothing`;
  if (code !== 0 && stderr.trim().split('\n').length > 6) return `said too much: ${stderr}`;
  return undefined;
}
