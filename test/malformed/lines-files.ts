import { each, type LineCase, line } from './line-case.ts';

const good = { args: ['true'], cwd: '/', user: { uid: 0, gid: 0 } };
const processes: readonly (readonly [name: string, says: string, content: string | Uint8Array])[] = [
  ['an empty file', 'line 1', ''],
  ['null', 'must be an object', 'null'],
  ['a list', '/process', '[]'],
  ['an empty object', '/process/args', '{}'],
  ['a half', 'line 1', JSON.stringify(good).slice(0, 20)],
  ['a byte order mark', 'byte order mark', `\ufeff${JSON.stringify(good)}`],
  ['a byte that is no UTF-8', 'UTF-8', Buffer.from([0x7b, 0xff, 0x7d])],
  ['100,000 levels', 'levels deep', '['.repeat(100_000)],
  ['64 MB', 'larger than', ' '.repeat(64 * 1024 * 1024)],
  ['a key twice', 'cwd', '{"args":["true"],"cwd":"/x","cwd":"/"}'],
  ['no arguments', '/process/args', JSON.stringify({ ...good, args: [] })],
  ['a relative directory', '/process/cwd', JSON.stringify({ ...good, cwd: 'x' })],
  ['a user of -1', '/process/user/uid', JSON.stringify({ ...good, user: { uid: -1, gid: 0 } })],
  ['a user of 2^32', '/process/user/uid', JSON.stringify({ ...good, user: { uid: 2 ** 32, gid: 0 } })],
  ['a user that is a string', '/process/user', JSON.stringify({ ...good, user: 'root' })],
  ['an environment of text', '/process/env', JSON.stringify({ ...good, env: 'A=B' })],
  ['privileges as text', '/process/noNewPrivileges', JSON.stringify({ ...good, noNewPrivileges: 'true' })],
  [
    'an rlimit twice',
    '/process/rlimits/1',
    JSON.stringify({ ...good, rlimits: [1, 2].map((hard) => ({ type: 'RLIMIT_CORE', soft: 0, hard })) }),
  ],
  ['a NUL', '/args/0', '{"args":["tr\\u0000ue"],"cwd":"/"}'],
];

const resources: readonly (readonly [name: string, says: string, content: string])[] = [
  ['an empty file', 'line 1', ''],
  ['null', 'must be an object', 'null'],
  ['a list', 'must be an object', '[]'],
  ['memory as text', '/memory/limit', '{"memory":{"limit":"1g"}}'],
  ['memory of -2', '/memory/limit', '{"memory":{"limit":-2}}'],
  ['memory of 2^63', '/memory/limit', '{"memory":{"limit":9223372036854775808}}'],
  ['memory as a number', '/memory', '{"memory":5}'],
  ['processes as text', '/pids/limit', '{"pids":{"limit":"5"}}'],
  ['cpus of letters', '/cpu/cpus', '{"cpu":{"cpus":"x"}}'],
  ['devices as an object', '/devices', '{"devices":{}}'],
  ['a half', 'line 1', '{"memory":'],
  ['a key twice', 'memory', '{"memory":{},"memory":{}}'],
];

const numbers = ['x', '1.5', '1e3', '0x10', ' 5', '99999999999999999999', '--1'];

export const fileLines: readonly LineCase[] = [
  ...processes.map(([name, says, content]) =>
    line(`exec of a process file with ${name}`, says, ({ box, file }) => ['exec', '--process', file(content), box]),
  ),
  line('exec of a process file that is not there', 'ENOENT', ({ box }) => ['exec', '--process', '/nosuch', box]),
  line('exec of a process file that is a directory', 'EISDIR', ({ box }) => ['exec', '--process', '/tmp', box]),
  line('exec of a process file that has no end', 'larger than', ({ box }) => ['exec', '--process', '/dev/zero', box]),
  ...resources.map(([name, says, content]) =>
    line(`update by a file with ${name}`, says, ({ box, file }) => ['update', '-r', file(content), box]),
  ),
  line('update by a file that is not there', 'ENOENT', ({ box }) => ['update', '-r', '/nosuch', box]),
  line('update by a directory', 'EISDIR', ({ box }) => ['update', '-r', '/tmp', box]),
  ...[
    '--cpu-period',
    '--cpu-quota',
    '--cpu-share',
    '--pids-limit',
    '--blkio-weight',
    '--cpu-idle',
    '--cpu-burst',
  ].flatMap((flag) =>
    each(numbers, `update with ${flag}`, flag.replace('--', ''), (value) => ({ box }) => [
      'update',
      `${flag}=${value}`,
      box,
    ]).filter(({ name }) => !/"9+"$/.test(name)),
  ),
  ...each(
    ['x', '-5', '1e3', '0x10', '5 kilo', '1x', '99999999999999999999g', '.5g'],
    'update with memory of',
    'emory',
    (value) =>
      ({ box }) => ['update', `--memory=${value}`, box],
  ),
  ...each(
    ['x', '3-1', '0-', ',', '0,,1', '-1', '99999999'],
    'update with the processors',
    'cpus',
    (value) =>
      ({ box }) => ['update', `--cpuset-cpus=${value}`, box],
  ),
  ...each(['1001', '10001', '-1'], 'update with a weight of', 'weight', (value) => ({ box }) => [
    'update',
    `--blkio-weight=${value}`,
    box,
  ]),
  line('a bundle that is not there', 'ENOENT', ({ id }) => ['create', '--bundle', '/nosuch', id]),
  line('a bundle that is a file', 'ENOTDIR', ({ id }) => ['create', '--bundle', '/etc/passwd', id]),
  line('a bundle without a configuration', 'config.json', ({ id, directory }) => [
    'create',
    '--bundle',
    directory(),
    id,
  ]),
  line('a bundle whose name is too long', 'ENAMETOOLONG', ({ id }) => [
    'create',
    '--bundle',
    `/${'x'.repeat(300)}`,
    id,
  ]),
  line('a configuration that is not there', 'ENOENT', ({ id }) => ['create', '--config', '/nosuch', id]),
  line('a configuration that is a directory', 'EISDIR', ({ id }) => ['create', '--config', '/tmp', id]),
  line('a configuration that has no end', 'larger than', ({ id }) => ['create', '--config', '/dev/zero', id]),
  line('a configuration that is /dev/null', 'line 1', ({ id }) => ['create', '--config', '/dev/null', id]),
  line('a configuration of /proc', 'line 1', ({ id }) => ['create', '--config', '/proc/self/mountinfo', id]),
  line('spec over a file', 'exists', () => ['spec']),
  line('spec into a directory that is not there', '/nosuch', () => ['spec', '--bundle', '/nosuch']),
];

/** `run` without a bundle: docker's words. */
export const dockerLines: readonly LineCase[] = [
  line('an image that is not there', '/nosuch', () => ['run', '--image', '/nosuch', 'true']),
  line('an image that is none', 'image', ({ file }) => ['run', '--image', file('x'), 'true']),
  line('a root file system that is not there', '/nosuch', () => ['run', '--rootfs', '/nosuch', 'true']),
  line('the root file system of the host', 'the host', () => ['run', '--rootfs', '/', 'true']),
  line('two sources', 'one of', ({ place }) => ['run', '--host', '--rootfs', place.rootfs, 'true']),
  line('no command', 'command', () => ['run', '--host']),
  ...each(['x', '-1', '1e400', ''], 'memory of', 'memory', (value) => () => [
    'run',
    '--host',
    `--memory=${value}`,
    'true',
  ]),
  ...each(['x', '-1', '0', '9999999'], 'cpus of', 'cpus', (value) => () => [
    'run',
    '--host',
    `--cpus=${value}`,
    'true',
  ]),
  ...each(['x', '-5', '1.5'], 'processes of', 'pids', (value) => () => [
    'run',
    '--host',
    `--pids-limit=${value}`,
    'true',
  ]),
  ...each(['-1', '4294967296', 'a b', '1:2:3', ':'], 'the user', 'user', (value) => () => [
    'run',
    '--host',
    `--user=${value}`,
    'true',
  ]),
  ...each(['', '=x'], 'the variable', '', (value) => () => ['run', '--host', `--env=${value}`, 'true']),
  ...each(['x', ''], 'the working directory', '', (value) => () => ['run', '--host', `--workdir=${value}`, 'true']),
];
