import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { checkOptions, runOptionChecks } from '../../../lib/spec/options.ts';

/** Options in which everything is given that can be given together. */
const everything = {
  image: 'app.tar',
  pull: 'never',
  name: 'web-1',
  entrypoint: [],
  command: ['sh', '-c', 'true', ''],
  env: { A: '1', B: '', 'odd-name': 'x=y' },
  cwd: '/srv',
  user: 'www-data:1000',
  hostname: 'web-1.example.org',
  labels: { a: 'b', c: '' },
  mounts: [
    { type: 'bind', source: './data', target: '/data', readonly: true },
    { type: 'volume', source: 'db', target: '/db' },
    { type: 'volume', source: { name: 'other', mountpoint: '/x' }, target: '/other' },
    { type: 'tmpfs', target: '/tmp', size: '64m', mode: 0o1777 },
  ],
  ports: [80, { container: 53, host: 5353, protocol: 'udp' }],
  network: 'private',
  limits: {
    memory: '512m',
    swap: 0,
    cpus: 1.5,
    pids: 100,
    cpuset: '0-3,7',
    io: [{ device: '/dev/sda', readBps: '1m', writeBps: 5 }],
  },
  capabilities: { add: ['CAP_NET_ADMIN'], drop: ['ALL'] },
  seccomp: { defaultAction: 'SCMP_ACT_ALLOW' },
  noNewPrivileges: false,
  readonly: true,
  userns: { uids: [{ container: 0, host: 1000, size: 1 }], gids: [{ container: 0, host: 1000, size: 1 }] },
  time: { monotonic: -5000, boottime: 86_400_000 },
  init: false,
  tty: { columns: 80, rows: 24 },
  stdin: 'pipe',
  stdout: 'inherit',
  stderr: 3,
  stopSignal: 'SIGRTMIN+3',
  ready: async () => {},
  spec: () => {},
  signal: new AbortController().signal,
};

test('accepts every option there is, together', () => {
  expect(checkOptions(everything)).toEqual([]);
});

test('accepts what can be given in another form', () => {
  const others = {
    rootfs: './rootfs',
    user: '1000',
    network: { name: 'net', driver: 'bridge' },
    seccomp: 'unconfined',
    userns: 'host',
    tty: true,
    stdin: 0,
    stopSignal: 'term',
    command: undefined,
  };
  expect(checkOptions(others)).toEqual([]);
});

describe('exactly one source', () => {
  test.each([
    [{}, 'got none'],
    [{ image: 'a', rootfs: 'b' }, 'got image and rootfs'],
    [{ bundle: 'a', host: true, image: 'b' }, 'got image and bundle and host'],
  ])('%j', (options, got) => {
    expect(checkOptions(options)).toContainEqual({
      path: '',
      message: `give one of image, from, rootfs, bundle, host; ${got}`,
    });
  });
});

const bad: readonly (readonly [options: object, path: string, message: string])[] = [
  [{ comand: [] }, '/comand', 'unknown option "comand"; did you mean "command"?'],
  [{ zzz: 1 }, '/zzz', 'unknown option "zzz"'],
  [{ workdir: '/' }, '/workdir', 'unknown option "workdir"; it is called "cwd"'],
  [{ cmd: [] }, '/cmd', 'it is called "command"'],
  [{ volumes: [] }, '/volumes', 'it is called "mounts"'],
  [{ hostName: 'a' }, '/hostName', 'it is called "hostname"'],
  [{ memory: 5 }, '/memory', 'it is called "limits.memory"'],
  [{ input: 'x' }, '/input', 'unknown option "input"'],
  [{ host: false }, '/host', 'must be true where it is given, not false'],
  [{ image: 5 }, '/image', 'must be a string, not 5'],
  [{ rootfs: '' }, '/rootfs', 'must not be empty'],
  [{ rootfs: '/a', pull: 'always' }, '/pull', 'is for an image only'],
  [{ name: 'a/b' }, '/name', 'must be made of letters'],
  [{ name: '..' }, '/name', 'not be "." or ".."'],
  [{ command: 'ls -l' }, '/command', 'must be a list, not "ls -l"'],
  [{ command: [] }, '/command', 'must not be empty'],
  [{ command: ['a', 5] }, '/command/1', 'must be a string, not 5'],
  [{ command: ['a\0b'] }, '/command/0', 'NUL'],
  [{ env: ['A=1'] }, '/env', 'must be an object, not a list'],
  [{ env: { A: 1 } }, '/env/A', 'must be a string, not 1'],
  [{ env: { '': 'x' } }, '/env/', 'the key must be the name of a variable'],
  [{ env: { 'A=B': 'x' } }, '/env/A=B', 'the key must be the name of a variable'],
  [{ env: { 'A\0': 'x' } }, '/env/A\0', 'NUL'],
  [{ env: { A: '\0' } }, '/env/A', 'NUL'],
  [{ cwd: 'src' }, '/cwd', 'must be an absolute path, not "src"'],
  [{ user: '4294967295' }, '/user', 'must have ids from 0 to 4294967294, not "4294967295"'],
  [{ user: '1:2:3' }, '/user', 'must be USER or USER:GROUP'],
  [{ user: ':5' }, '/user', 'on both sides of ":"'],
  [{ user: '' }, '/user', 'must have a name or number'],
  [{ user: '-1' }, '/user', 'must have names or numbers'],
  [{ user: 1000 }, '/user', 'must be a string, not 1000'],
  [{ hostname: 'a b' }, '/hostname', 'must be a host name'],
  [{ hostname: '-a' }, '/hostname', 'must be a host name'],
  [{ hostname: 'a'.repeat(65) }, '/hostname', 'must be a host name'],
  [{ labels: { a: 1 } }, '/labels/a', 'must be a string'],
  [{ mounts: [{ source: '/a', target: '/b' }] }, '/mounts/0/type', 'is required: "bind", "volume" or "tmpfs"'],
  [{ mounts: [{ type: 'bnd', source: '/a', target: '/b' }] }, '/mounts/0/type', 'did you mean "bind"?'],
  [{ mounts: [{ type: 'bind', target: '/b' }] }, '/mounts/0/source', 'is required'],
  [{ mounts: [{ type: 'bind', source: '/a', target: 'b' }] }, '/mounts/0/target', 'must be an absolute path'],
  [{ mounts: [{ type: 'bind', source: '/a', target: '/b/..' }] }, '/mounts/0/target', 'must not be the root'],
  [
    { mounts: [{ type: 'bind', source: '/a', target: '/b', readOnly: true }] },
    '/mounts/0/readOnly',
    'did you mean "readonly"?',
  ],
  [{ mounts: [{ type: 'volume', source: '../x', target: '/b' }] }, '/mounts/0/source', 'must be made of letters'],
  [{ mounts: [{ type: 'tmpfs', target: '/b', size: '1x' }] }, '/mounts/0/size', 'a size such as "512m"'],
  [{ mounts: [{ type: 'tmpfs', target: '/b', mode: '1777' }] }, '/mounts/0/mode', 'must be a whole number'],
  [
    {
      mounts: [
        { type: 'tmpfs', target: '/b' },
        { type: 'tmpfs', target: '/b/' },
      ],
    },
    '/mounts/1/target',
    'mounted twice',
  ],
  [{ mounts: 'a:b' }, '/mounts', 'must be a list'],
  [{ ports: [0] }, '/ports/0', 'must be a whole number from 1 to 65535'],
  [{ ports: ['80'] }, '/ports/0', 'must be a port or'],
  [{ ports: [{ container: 80, protocol: 'sctp' }] }, '/ports/0/protocol', 'unknown protocol'],
  [{ network: 'bridge' }, '/network', 'unknown network "bridge"'],
  [{ network: 5 }, '/network', 'must be "none", "host", "private" or a network'],
  [{ limits: { memory: '512mb' } }, '/limits/memory', 'must be a number of bytes'],
  [{ limits: { memory: 0 } }, '/limits/memory', 'must be at least 1 bytes'],
  [{ limits: { swap: 5 } }, '/limits/swap', 'needs one of memory'],
  [{ limits: { cpus: 0 } }, '/limits/cpus', 'must be a number from 0.01'],
  [{ limits: { cpus: Number.NaN } }, '/limits/cpus', 'not NaN'],
  [{ limits: { pids: 0 } }, '/limits/pids', 'must be a whole number from 1'],
  [{ limits: { cpuset: 'all' } }, '/limits/cpuset', 'must be a list such as "0-3,7"'],
  [{ limits: { cpu: 1 } }, '/limits/cpu', 'unknown limit "cpu"; it is called "cpus"'],
  [{ limits: { io: [{ device: 'sda' }] } }, '/limits/io/0/device', 'must be an absolute path'],
  [{ capabilities: { add: ['NET_ADMIN'] } }, '/capabilities/add/0', 'did you mean "CAP_NET_ADMIN"?'],
  [{ capabilities: { drop: ['CAP_CHWON'] } }, '/capabilities/drop/0', 'did you mean "CAP_CHOWN"?'],
  [{ capabilities: ['CAP_CHOWN'] }, '/capabilities', 'must be an object'],
  [{ seccomp: 'unconfind' }, '/seccomp', 'did you mean "unconfined"?'],
  [{ seccomp: {} }, '/seccomp/defaultAction', 'is required'],
  [{ userns: { uids: [], gids: [{ container: 0, host: 0, size: 1 }] } }, '/userns/uids', 'must not be empty'],
  [
    {
      userns: {
        uids: [
          { container: 0, host: 0, size: 5 },
          { container: 4, host: 9, size: 1 },
        ],
        gids: [{ container: 0, host: 0, size: 1 }],
      },
    },
    '/userns/uids/1/container',
    'overlaps with line 0',
  ],
  [{ time: { realtime: 5 } }, '/time/realtime', 'unknown clock "realtime"'],
  [{ time: { monotonic: 0.5 } }, '/time/monotonic', 'must be a whole number'],
  [{ init: 'yes' }, '/init', 'must be true or false'],
  [{ tty: { columns: 80 } }, '/tty/rows', 'is required'],
  [{ tty: 'yes' }, '/tty', 'must be true, false or {columns, rows}'],
  [{ stdin: 'pip' }, '/stdin', 'did you mean "pipe"?'],
  [{ stdout: -1 }, '/stdout', 'must be a whole number from 0'],
  [{ stopSignal: 'SIGTREM' }, '/stopSignal', 'unknown signal "SIGTREM"; did you mean "SIGTERM"?'],
  [{ stopSignal: 0 }, '/stopSignal', 'unknown signal 0'],
  [{ ready: true }, '/ready', 'must be a function, not true'],
  [{ spec: {} }, '/spec', 'must be a function, not an object'],
  [{ signal: { addEventListener() {} } }, '/signal/aborted', 'is required'],
];

describe('a bad option is refused, where it is', () => {
  test.each(bad)('%o', (options, path, message) => {
    const sources = ['image', 'rootfs', 'bundle', 'host'].some((source) => source in options) ? {} : { host: true };
    const issues = checkOptions({ ...sources, ...options });
    expect(issues.map((issue) => issue.path)).toEqual([path]);
    expect(issues[0]!.message).toContain(message);
  });
});

test('says everything that is wrong at once', () => {
  const issues = checkOptions({ comand: 1, cwd: 'x', limits: { pids: -1 } });
  expect(issues.map((issue) => issue.path)).toEqual(['', '/cwd', '/limits/pids', '/comand']);
});

describe('the options of run', () => {
  test('are accepted where they are allowed, and suggested', () => {
    const options = { host: true, input: new Uint8Array(1), timeout: 1000, reject: false, maxOutput: '1m' };
    expect(checkOptions(options, runOptionChecks)).toEqual([]);
    expect(checkOptions({ host: true, timout: 5 }, runOptionChecks)[0]!.message).toContain('did you mean "timeout"?');
  });
  test.each([
    [{ timeout: 0 }, '/timeout'],
    [{ timeout: 2 ** 31 }, '/timeout'],
    [{ input: 5 }, '/input'],
    [{ maxOutput: -1 }, '/maxOutput'],
    [{ reject: 'no' }, '/reject'],
  ])('%j is refused', (options, path) => {
    expect(checkOptions({ host: true, ...options }, runOptionChecks).map((issue) => issue.path)).toEqual([path]);
  });
});

test('never throws, whatever the value', () => {
  const option = fc.constantFrom(...Object.keys(everything));
  const anything = fc.anything({ withBigInt: true, withNullPrototype: true, withSparseArray: true });
  fc.assert(
    fc.property(fc.oneof(anything, fc.dictionary(option, anything)), (value) => {
      for (const issue of checkOptions(value, runOptionChecks)) expect(issue.message).not.toBe('');
    }),
    { seed: 8, numRuns: 3000 },
  );
});
