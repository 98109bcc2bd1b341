import { expect, test } from 'vitest';
import { containerFlags, containerOptions, newId } from '../../../lib/cli/container-flags.ts';
import { parseFlags } from '../../../lib/cli/parse.ts';
import { checkOptions } from '../../../lib/spec/check-options.ts';

const options = (...argv: string[]) =>
  containerOptions(parseFlags('run', argv, containerFlags), { columns: 91, rows: 27 });
const mistakes = (...argv: string[]): string[] => {
  try {
    options(...argv);
  } catch (error) {
    return (error as { issues: { path: string; message: string }[] }).issues.map((i) => `${i.path} ${i.message}`);
  }
  return [];
};

const table: [keyof typeof containerFlags, string[], object][] = [
  ['host', ['--host', 'true'], { host: true, command: ['true'] }],
  ['rootfs', ['--rootfs', 'dir', '--', 'sh', '-c', 'x'], { rootfs: 'dir', command: ['sh', '-c', 'x'] }],
  ['image', ['--image', 'a.tar'], { image: 'a.tar' }],
  ['pull', ['--image', 'debian:12', '--pull', 'always'], { image: 'debian:12', pull: 'always' }],
  ['bundle', ['-b', 'dir', 'web'], { bundle: 'dir', name: 'web' }],
  ['interactive', ['--host', '-i', 'cat'], { host: true, command: ['cat'] }],
  ['tty', ['--host', '-t'], { host: true, tty: { columns: 91, rows: 27 } }],
  ['env', ['--host', '-e', 'A=b=c', '--env', 'B='], { host: true, env: { A: 'b=c', B: '' } }],
  ['cwd', ['--host', '-w', '/srv'], { host: true, cwd: '/srv' }],
  ['user', ['--host', '-u', 'web:www'], { host: true, user: 'web:www' }],
  ['hostname', ['--host', '--hostname', 'web'], { host: true, hostname: 'web' }],
  ['name', ['--host', '--name', 'web'], { host: true, name: 'web' }],
  ['entrypoint', ['--image', 'a', '--entrypoint', '/x', 'y'], { image: 'a', entrypoint: ['/x'], command: ['y'] }],
  [
    'volumes',
    ['--host', '-v', '/a:/b', '-v', './c:/d:ro', '-v', 'data:/e', '-v', 'data.1:/f:ro,nocopy', '-v', '/g'],
    {
      host: true,
      mounts: [
        { type: 'bind', source: '/a', target: '/b', readonly: false },
        { type: 'bind', source: './c', target: '/d', readonly: true },
        { type: 'volume', source: 'data', target: '/e', readonly: false, copy: true },
        { type: 'volume', source: 'data.1', target: '/f', readonly: true, copy: false },
        { type: 'volume', target: '/g', readonly: false, copy: true },
      ],
    },
  ],
  [
    'tmpfs',
    ['--host', '--tmpfs', '/a', '--tmpfs', '/b:size=64m'],
    {
      host: true,
      mounts: [
        { type: 'tmpfs', target: '/a' },
        { type: 'tmpfs', target: '/b', size: '64m' },
      ],
    },
  ],
  ['memory', ['--host', '-m', '512m'], { host: true, limits: { memory: '512m' } }],
  ['memory', ['--host', '--memory=1048576'], { host: true, limits: { memory: 1048576 } }],
  ['cpus', ['--host', '--cpus', '0.5'], { host: true, limits: { cpus: 0.5 } }],
  ['pids', ['--host', '--pids-limit', '50'], { host: true, limits: { pids: 50 } }],
  [
    'capAdd',
    ['--host', '--cap-add', 'net_admin', '--cap-add', 'CAP_SYS_TIME'],
    { host: true, capabilities: { add: ['CAP_NET_ADMIN', 'CAP_SYS_TIME'], drop: [] } },
  ],
  ['capDrop', ['--host', '--cap-drop', 'all'], { host: true, capabilities: { add: [], drop: ['ALL'] } }],
  ['readonly', ['--host', '--read-only'], { host: true, readonly: true }],
  ['network', ['--host', '--network', 'host'], { host: true, network: 'host' }],
  ['seccomp', ['--host', '--seccomp', 'unconfined'], { host: true, seccomp: 'unconfined' }],
  ['systemView', ['--host', '--system-view', 'limits'], { host: true, systemView: 'limits' }],
  ['rm', ['--image', 'debian:12', '--rm'], { image: 'debian:12' }],
  ['rm', ['--image', 'debian:12', '--rm=true'], { image: 'debian:12' }],
  ['noInit', ['--host', '--no-init'], { host: true, init: false }],
];

test.each(table)('--%s: %j', (_name, argv, expected) => {
  expect(options(...argv)).toEqual(expected);
  expect(checkOptions(expected)).toEqual([]);
});

test('the table has every option', () => {
  expect([...new Set(table.map(([name]) => name))].sort()).toEqual(Object.keys(containerFlags).sort());
});

test('a container that is to stay is refused, and it is said how one is made', () => {
  const stays = 'one that stays is made of a bundle: create and start';
  expect(mistakes('--image', 'debian:12', '--rm=false')).toEqual([
    ` --rm cannot be turned off: the container goes when its command has ended; ${stays}`,
  ]);
  expect(mistakes('--image', 'debian:12', '--rm=0', '--rm=maybe')).toHaveLength(2);
});

test('values that cannot be read are told, all at once', () => {
  expect(
    mistakes(
      '--host',
      '-e',
      'A',
      '-e',
      '=b',
      '-v',
      ':/a',
      '-v',
      '/a:/b:rx',
      '-v',
      'a:/b:ro,rw',
      '--tmpfs',
      '/a:mode=7',
      '--cpus',
      'two',
    ),
  ).toEqual([
    '--env wants NAME=VALUE, got "A"',
    '--env wants NAME=VALUE, got "=b"',
    '--volume wants DST, NAME:DST or NAME:DST:ro,nocopy, got ":/a"',
    '--volume wants SRC:DST or SRC:DST:ro, got "/a:/b:rx"',
    '--volume wants DST, NAME:DST or NAME:DST:ro,nocopy, got "a:/b:ro,rw"',
    '--tmpfs wants DST or DST:size=64m, got "/a:mode=7"',
    '--cpus wants a number, got "two"',
  ]);
});

test('after a bundle comes one id, not a command', () => {
  expect(mistakes('-b', 'dir', 'id', 'sh')).toEqual([' one ID follows a bundle, got id sh']);
});

test('what only the options themselves can tell is left to them', () => {
  expect(checkOptions(options('--host', '--rootfs', 'x', '--network', 'nown', '-m', '12q')).length).toBeGreaterThan(2);
});

test('a variable may be named __proto__', () => {
  const { env } = options('--host', '-e', '__proto__=x');
  expect(Object.entries(env ?? {})).toEqual([['__proto__', 'x']]);
});

test('a new id has 64 hexadecimal digits', () => {
  expect(newId({ random: (bytes) => new Uint8Array(bytes).fill(10) })).toBe('0a'.repeat(32));
});
