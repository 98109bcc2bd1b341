import { join } from 'node:path';
import { each, type LineCase, line } from './line-case.ts';

const ids = [
  '',
  '.',
  '..',
  'a/b',
  '../x',
  '/etc',
  'a b',
  'a\nb',
  'é',
  'a\0b',
  'x'.repeat(256),
  '*',
  '$(id)',
  '\u001b[31m',
];
const ofContainers = ['create', 'run', 'start', 'state', 'kill', 'delete', 'ps', 'pause', 'resume', 'update', 'events'];

export const idLines: readonly LineCase[] = [
  ...ofContainers.flatMap((verb) => each(ids, `${verb} of the id`, 'invalid container id', (id) => () => [verb, id])),
  ...each(ids, 'delete --force of the id', 'invalid container id', (id) => () => ['delete', '--force', id]),
  ...each(ids, 'exec in the id', 'invalid container id', (id) => () => ['exec', id, 'true']),
  ...['start', 'state', 'kill', 'delete', 'ps', 'pause', 'resume', 'events'].map((verb) =>
    line(`${verb} of a container that is not there`, 'container does not exist', ({ id }) => [verb, id]),
  ),
  line('update of a container that is not there', 'container does not exist', ({ id }) => [
    'update',
    '--memory',
    '1g',
    id,
  ]),
  line('exec in a container that is not there', 'container does not exist', ({ id }) => ['exec', id, 'true']),
  line('create of a container that is there', 'already exists', ({ box }) => ['create', box]),
  line('run of a container that is there', 'already exists', ({ box }) => ['run', box]),
  line('start of one that runs', 'cannot start', ({ box }) => ['start', box]),
  line('delete of one that runs', 'not stopped', ({ box }) => ['delete', box]),
  line('resume of one that is not paused', 'not paused', ({ box }) => ['resume', box]),
  ...[...ofContainers, 'exec'].map((verb) => line(`${verb} of nothing`, `"${verb}" requires`, () => [verb])),
  ...ofContainers
    .filter((verb) => !['ps', 'kill'].includes(verb))
    .map((verb) => line(`${verb} of two`, `"${verb}" requires`, ({ id }) => [verb, id, id])),
  line('kill of three', '"kill" requires', ({ box }) => ['kill', box, 'TERM', 'x']),
  line('exec of no command', '"exec" requires', ({ box }) => ['exec', box]),
  line('list of something', '"list" requires', () => ['list', 'x']),
  line('features of something', '"features" requires', () => ['features', 'x']),
];

const verbs = [...ofContainers, 'exec', 'list', 'spec', 'features', 'plan', 'doctor'];

export const flagLines: readonly LineCase[] = [
  ...verbs.map((verb) => line(`${verb} with an unknown option`, '--nosuch', ({ id }) => [verb, '--nosuch', id])),
  ...verbs.map((verb) => line(`${verb} with an unknown letter`, '-Z', ({ id }) => [verb, '-Z', id])),
  line('an unknown option before the command', '--nosuch', ({ id }) => ['--nosuch', 'state', id]),
  line('an unknown command', 'nosuch', () => ['nosuch']),
  line('an empty command', "''", () => ['']),
  line('a command of 10,000 letters', 'there is no such command', () => ['x'.repeat(10_000)]),
  line('a command that is a property of every object', 'constructor', () => ['constructor']),
  ...[
    ['create', '--bundle'],
    ['create', '--pid-file'],
    ['create', '--console-socket'],
    ['create', '--preserve-fds'],
    ['exec', '--user'],
    ['exec', '--env'],
    ['exec', '--process'],
    ['exec', '--cap'],
    ['exec', '--cwd'],
    ['update', '--memory'],
    ['update', '--resources'],
    ['list', '--format'],
    ['ps', '--format'],
    ['events', '--interval'],
  ].map(([verb, flag]) => line(`${verb} with ${flag} at the end`, `${flag} needs a value`, () => [verb!, flag!])),
  ...['--root', '--log', '--log-level', '--log-format', '--cgroup-manager'].map((flag) =>
    line(`${flag} at the end`, `${flag} needs a value`, () => [flag]),
  ),
  line('a switch that is neither on nor off', '--keep', ({ id }) => ['run', '--keep=maybe', id]),
  line('a switch with a number', '--no-pivot', ({ id }) => ['create', '--no-pivot=2', id]),
  line('an unknown level of the log', '--log-level', ({ id }) => ['--log-level', 'loud', 'state', id]),
  line('an unknown form of the log', '--log-format', ({ id }) => ['--log-format', 'xml', 'state', id]),
  line('an unknown manager of cgroups', '--cgroup-manager', ({ id }) => ['--cgroup-manager', 'x', 'state', id]),
  line('an unknown answer', '--rootless', ({ id }) => ['--rootless', 'maybe', 'state', id]),
  line('a log in a directory that is not there', 'cannot open the log', ({ id }) => [
    '--log',
    '/nosuch/log',
    'state',
    id,
  ]),
  line('a log that is a directory', 'cannot open the log', ({ id }) => ['--log', '/tmp', 'state', id]),
  line('a log for a daemon', 'cannot log to', ({ id }) => ['--log', 'syslog:x', 'state', id]),
  line('a state directory that is a file', 'state directory', ({ id, file }) => ['--root', file(''), 'create', id]),
  line('a state directory below a file', 'state directory', ({ id, file }) => [
    '--root',
    join(file(''), 'x'),
    'create',
    id,
  ]),
  line('a state directory in /proc', 'state directory', ({ id }) => ['--root', '/proc/nosuch', 'create', id]),
  line('a state directory whose name is too long', 'ENAMETOOLONG', ({ id }) => [
    '--root',
    `/tmp/${'x'.repeat(300)}`,
    'create',
    id,
  ]),
  line('a state directory that others write to', 'others may write', ({ id }) => ['--root', '/tmp', 'create', id]),
  line('an unknown format of the list', '--format', () => ['list', '--format', 'xml']),
  line('an unknown format of processes', '--format', ({ box }) => ['ps', '--format', 'xml', box]),
  ...each(['0', '-1s', 'x', '1e9h', '', '5'], 'an interval of', '--interval', (value) => ({ box }) => [
    'events',
    '--stats',
    '--interval',
    value,
    box,
  ]),
  line('a regular expression that is none', '--regex', () => ['delete', '--regex', '[']),
  line('a regular expression that is none, to kill', '--regex', () => ['kill', '--regex', '(']),
  line('a shell that is not known', 'nosuch', () => ['completion', 'nosuch']),
  line('checkpoint', 'checkpoint', ({ box }) => ['checkpoint', box]),
  line('restore', 'restore', ({ id }) => ['restore', id]),
];
