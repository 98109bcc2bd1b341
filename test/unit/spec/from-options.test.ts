import { describe, expect, test } from 'vitest';
import { checkSpec } from '../../../lib/spec/check.ts';
import { defaultCapabilities, defaultSpec } from '../../../lib/spec/defaults.ts';
import { specFromOptions as convert, type SpecContext, stopSignal } from '../../../lib/spec/from-options.ts';
import type { ImageConfig } from '../../../lib/spec/image-config.ts';
import type { CommonOptions } from '../../../lib/spec/options.ts';
import type { Spec } from '../../../lib/spec/types.ts';

const seccomp = { defaultAction: 'SCMP_ACT_ERRNO' };

/** With a command and a default profile, unless the test is about them. */
function specFromOptions(options: CommonOptions, context: SpecContext = {}): Spec {
  return convert({ command: ['sh'], ...options }, { seccomp, ...context });
}

const ofImage = (image: ImageConfig, options: CommonOptions = {}): Spec => convert(options, { seccomp, image });

describe('the default container', () => {
  test('is as Docker has it', () => {
    const spec = specFromOptions({});
    expect({ ...spec, process: { ...spec.process, args: [] }, linux: { ...spec.linux, seccomp: undefined } }).toEqual({
      ...defaultSpec(),
      process: { ...defaultSpec().process, args: [] },
    });
    expect(spec.linux.seccomp).toEqual(seccomp);
    expect(spec.linux.namespaces.map(({ type }) => type).sort()).toEqual([
      'cgroup',
      'ipc',
      'mount',
      'network',
      'pid',
      'user',
      'uts',
    ]);
    expect(spec.process!.capabilities).toEqual({
      bounding: defaultCapabilities,
      effective: defaultCapabilities,
      permitted: defaultCapabilities,
      inheritable: [],
      ambient: [],
    });
    expect(defaultCapabilities).toHaveLength(14);
    expect(spec.process!.noNewPrivileges).toBe(true);
    expect(spec.process!.rlimits).toBe(undefined);
  });
  test('is made anew by each call', () => {
    const spec = defaultSpec();
    spec.linux.maskedPaths!.pop();
    spec.mounts![0]!.options!.push('x');
    expect(defaultSpec().linux.maskedPaths).toContain('/sys/firmware');
    expect(defaultSpec().mounts![0]!.options).not.toContain('x');
  });
});

describe('Entrypoint and Cmd', () => {
  const image = { Entrypoint: ['/entry', '-x'], Cmd: ['serve'] };
  const cases: readonly (readonly [ImageConfig, CommonOptions, readonly string[]])[] = [
    [image, {}, ['/entry', '-x', 'serve']],
    [image, { command: ['a', 'b'] }, ['/entry', '-x', 'a', 'b']],
    [image, { entrypoint: ['/other'] }, ['/other']],
    [image, { entrypoint: ['/other'], command: ['a'] }, ['/other', 'a']],
    [image, { entrypoint: [], command: ['a'] }, ['a']],
    [{ Cmd: ['serve'] }, {}, ['serve']],
    [{ Entrypoint: ['/entry'] }, {}, ['/entry']],
    [{}, { command: ['a'] }, ['a']],
  ];
  test.each(cases)('%j with %j', (config, options, args) => {
    expect(ofImage(config, options).process!.args).toEqual(args);
  });
  test.each([
    [{}, {}],
    [{ Cmd: [] }, {}],
    [image, { entrypoint: [] }],
  ])('of %j with %j there is no command', (config, options) => {
    expect(() => ofImage(config, options)).toThrow('no command: give command, or an image with Cmd or Entrypoint');
  });
});

describe('the environment', () => {
  test('has the default PATH, then what the image says, then the options', () => {
    const image = { Cmd: ['x'], Env: ['A=image', 'B=image'] };
    expect(ofImage(image, { env: { B: 'option', C: '' } }).process!.env).toEqual([
      'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      'A=image',
      'B=option',
      'C=',
    ]);
  });
  test('has the PATH of the image instead of the default', () => {
    expect(ofImage({ Cmd: ['x'], Env: ['PATH=/opt'] }).process!.env).toEqual(['PATH=/opt']);
  });
  test('has HOSTNAME, and TERM with a terminal, which the image can change', () => {
    const options = { hostname: 'web', tty: true, command: ['x'] };
    expect(ofImage({}, options).process!.env).toEqual([expect.stringMatching(/^PATH=/), 'HOSTNAME=web', 'TERM=xterm']);
    expect(ofImage({ Env: ['TERM=vt100'] }, options).process!.env).toContain('TERM=vt100');
  });
  test('leaves out what an image has without a value', () => {
    expect(ofImage({ Cmd: ['x'], Env: ['ODD', '=y'] }).process!.env).toHaveLength(1);
  });
});

describe('hostname', () => {
  test('is the short id unless it is given', () => {
    expect(specFromOptions({}, { id: '0123456789abcdef' }).hostname).toBe('0123456789ab');
    expect(specFromOptions({ hostname: 'a' }, { id: '0123456789abcdef' }).hostname).toBe('a');
    expect(specFromOptions({}).hostname).toBe(undefined);
  });
  test('is none where the id is no host name', () => {
    expect(specFromOptions({}, { id: '+++' }).hostname).toBe(undefined);
  });
});

describe('the working directory', () => {
  test('is that of the options, the image, or the root', () => {
    expect(ofImage({ Cmd: ['x'], WorkingDir: '/srv' }, { cwd: '/opt' }).process!.cwd).toBe('/opt');
    expect(ofImage({ Cmd: ['x'], WorkingDir: '/srv' }).process!.cwd).toBe('/srv');
    expect(ofImage({ Cmd: ['x'], WorkingDir: 'srv' }).process!.cwd).toBe('/srv');
    expect(ofImage({ Cmd: ['x'], WorkingDir: '' }).process!.cwd).toBe('/');
  });
});

describe('capabilities', () => {
  const bounding = (change: CommonOptions['capabilities']) =>
    specFromOptions({ capabilities: change! }).process!.capabilities!.bounding!;
  test('are added to and dropped from the default', () => {
    expect(bounding({ add: ['CAP_NET_ADMIN'], drop: ['CAP_MKNOD'] })).toEqual([
      ...defaultCapabilities.filter((name) => name !== 'CAP_MKNOD'),
      'CAP_NET_ADMIN',
    ]);
  });
  test('are all dropped before any is added', () => {
    expect(bounding({ add: ['CAP_CHOWN'], drop: ['ALL'] })).toEqual(['CAP_CHOWN']);
    expect(bounding({ drop: ['ALL'] })).toEqual([]);
  });
  test('are all added before any is dropped', () => {
    const names = bounding({ add: ['ALL'], drop: ['CAP_SYS_ADMIN'] });
    expect(names).toHaveLength(40);
    expect(names).not.toContain('CAP_SYS_ADMIN');
  });
  test('of another user than root are in the bounding set only', () => {
    const spec = specFromOptions(
      { capabilities: { add: ['CAP_NET_ADMIN'] } },
      { user: { uid: 5, gid: 6, additionalGids: [6, 7] } },
    );
    expect(spec.process!.user).toEqual({ uid: 5, gid: 6, additionalGids: [6, 7] });
    expect(spec.process!.capabilities).toEqual({
      bounding: [...defaultCapabilities, 'CAP_NET_ADMIN'],
      effective: [],
      permitted: [],
      inheritable: [],
      ambient: [],
    });
  });
  test('come with no_new_privs unless that is given up', () => {
    expect(specFromOptions({ noNewPrivileges: false }).process!.noNewPrivileges).toBe(false);
  });
});

describe('seccomp', () => {
  test('is the profile that was handed in, none, or the caller’s own', () => {
    const own = { defaultAction: 'SCMP_ACT_ALLOW' };
    expect(specFromOptions({ seccomp: 'default' }).linux.seccomp).toEqual(seccomp);
    expect(specFromOptions({ seccomp: 'unconfined' }).linux.seccomp).toBe(undefined);
    expect(specFromOptions({ seccomp: own }).linux.seccomp).toEqual(own);
  });
  test('is never left out by mistake', () => {
    expect(() => convert({ command: ['x'] })).toThrow('no default seccomp profile');
  });
});

describe('namespaces', () => {
  const types = (options: CommonOptions) => specFromOptions(options).linux.namespaces.map(({ type }) => type);
  test('of the network: an own one, or that of the host', () => {
    expect(types({ network: 'none' })).toContain('network');
    expect(types({ network: 'private' })).toContain('network');
    expect(types({ network: { name: 'net' } })).toContain('network');
    expect(types({ network: 'host' })).not.toContain('network');
  });
  test('of users: as many ids as possible, none, or maps', () => {
    expect(types({ userns: 'host' })).not.toContain('user');
    expect(types({ userns: 'auto' })).toContain('user');
    const map = [{ container: 0, host: 1000, size: 1 }];
    const { linux } = specFromOptions({ userns: { uids: map, gids: map } });
    expect(linux.uidMappings).toEqual([{ containerID: 0, hostID: 1000, size: 1 }]);
    expect(linux.gidMappings).toEqual(linux.uidMappings);
  });
  test('of time, on request, with offsets whose nanoseconds are not negative', () => {
    expect(types({})).not.toContain('time');
    const { linux } = specFromOptions({ time: { monotonic: -1, boottime: 90_061_500 } });
    expect(linux.namespaces).toContainEqual({ type: 'time' });
    expect(linux.timeOffsets).toEqual({
      monotonic: { secs: -1, nanosecs: 999_000_000 },
      boottime: { secs: 90_061, nanosecs: 500_000_000 },
    });
  });
});

describe('mounts', () => {
  test('come after the default ones, in their order', () => {
    const spec = specFromOptions(
      {
        mounts: [
          { type: 'bind', source: '/a', target: '/x' },
          { type: 'bind', source: 'b', target: '/y', readonly: true },
          { type: 'volume', source: 'db', target: '/db' },
          { type: 'tmpfs', target: '/tmp', size: '64m', mode: 0o1777 },
          { type: 'tmpfs', target: '/run', mode: 0o5 },
        ],
      },
      { cwd: '/home/me', volumes: { db: { type: 'bind', source: '/volumes/db', options: ['idmap'] } } },
    );
    expect(spec.mounts!.slice(7)).toEqual([
      { destination: '/x', type: 'bind', source: '/a', options: ['rbind', 'rprivate'] },
      { destination: '/y', type: 'bind', source: '/home/me/b', options: ['rbind', 'rprivate', 'rro'] },
      { destination: '/db', type: 'bind', source: '/volumes/db', options: ['rbind', 'rprivate', 'idmap'] },
      {
        destination: '/tmp',
        type: 'tmpfs',
        source: 'tmpfs',
        options: ['nosuid', 'nodev', 'noexec', 'size=67108864', 'mode=1777'],
      },
      { destination: '/run', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'nodev', 'noexec', 'mode=0005'] },
    ]);
  });
  test('of a volume that is not there are refused', () => {
    const mounts = [{ type: 'volume', source: 'constructor', target: '/db' }] as const;
    expect(() => specFromOptions({ mounts }, { volumes: {} })).toThrow(
      '/mounts/0/source: there is no volume "constructor"',
    );
  });
});

describe('limits', () => {
  test('become resources', () => {
    const limits = {
      memory: '512m',
      swap: '256m',
      cpus: 1.5,
      pids: 100,
      cpuset: '0-3',
      io: [
        { device: '/dev/sda', readBps: '1m' },
        { device: '/dev/sdb', writeBps: 5 },
      ],
    } as const;
    const devices = { '/dev/sda': { major: 8, minor: 0 }, '/dev/sdb': { major: 8, minor: 16 } };
    expect(specFromOptions({ limits }, { devices }).linux.resources).toEqual({
      memory: { limit: 536_870_912, swap: 805_306_368 },
      cpu: { quota: 150_000, period: 100_000, cpus: '0-3' },
      pids: { limit: 100 },
      blockIO: {
        throttleReadBpsDevice: [{ major: 8, minor: 0, rate: 1_048_576 }],
        throttleWriteBpsDevice: [{ major: 8, minor: 16, rate: 5 }],
      },
    });
  });
  test('without swap leave swap as it is, and with swap 0 allow none', () => {
    expect(specFromOptions({ limits: { memory: 5 } }).linux.resources!.memory).toEqual({ limit: 5 });
    expect(specFromOptions({ limits: { memory: 5, swap: 0 } }).linux.resources!.memory).toEqual({ limit: 5, swap: 5 });
  });
  test('of a device that is none are refused', () => {
    const limits = { io: [{ device: '/dev/null', readBps: 1 }] };
    expect(() => specFromOptions({ limits })).toThrow('/limits/io/0/device: is no block device: "/dev/null"');
  });
});

test('a terminal has its size, and a root can be read-only', () => {
  const spec = specFromOptions(
    { tty: { columns: 80, rows: 24 }, readonly: true, labels: { a: 'b' } },
    { root: '/layers/x' },
  );
  expect(spec.process).toMatchObject({ terminal: true, consoleSize: { width: 80, height: 24 } });
  expect(spec.root).toEqual({ path: '/layers/x', readonly: true });
  expect(spec.annotations).toEqual({ a: 'b' });
  expect(specFromOptions({ tty: false }).process!.terminal).toBe(false);
});

describe('a bundle', () => {
  const bundle = (): Spec => {
    const spec = defaultSpec();
    spec.process = { user: { uid: 5, gid: 6 }, args: ['/bin/server', '-v'], env: ['A=1'], cwd: '/srv' };
    spec.hostname = 'box';
    return checkSpec(spec).spec!;
  };
  test('stays as it is without options', () => {
    expect(convert({}, { bundle: bundle(), id: 'x' })).toEqual(bundle());
  });
  test('is changed by the options that are given, and by nothing else', () => {
    const spec = convert(
      { command: ['sh'], env: { B: '2' }, hostname: 'other', user: '0' },
      {
        bundle: bundle(),
        user: { uid: 0, gid: 0, additionalGids: [] },
      },
    );
    expect(spec).toEqual({
      ...bundle(),
      hostname: 'other',
      process: { user: { uid: 0, gid: 0 }, args: ['sh'], env: ['A=1', 'B=2'], cwd: '/srv' },
    });
  });
  test('is not changed itself', () => {
    const given = bundle();
    convert(
      {
        spec: (spec) => {
          spec.linux.namespaces.pop();
          spec.mounts = [];
        },
      },
      { bundle: given },
    );
    expect(given).toEqual(bundle());
  });
});

describe('the caller’s own edit', () => {
  test('comes last, in place or as a new value', () => {
    expect(
      specFromOptions({
        hostname: 'a',
        spec: (spec) => {
          spec.hostname = 'b';
        },
      }).hostname,
    ).toBe('b');
    expect(specFromOptions({ spec: (spec) => ({ ...spec, domainname: 'c' }) }).domainname).toBe('c');
  });
  test('is checked', () => {
    expect(() =>
      specFromOptions({
        spec: (spec) => {
          spec.process!.cwd = 'x';
        },
      }),
    ).toThrow('/process/cwd: must be an absolute path, not "x"');
    expect(() =>
      specFromOptions({
        spec: (spec) => {
          spec.linux.namespaces = 1 as never;
        },
      }),
    ).toThrow('/linux/namespaces');
    expect(() => specFromOptions({ spec: (async () => {}) as never })).toThrow('must not be an async function');
  });
  test('cannot reach the profile that was handed in', () => {
    const profile = { defaultAction: 'SCMP_ACT_ERRNO', syscalls: [{ names: ['read'], action: 'SCMP_ACT_ALLOW' }] };
    const edit: CommonOptions['spec'] = (spec) => {
      (spec.linux.seccomp as unknown as { syscalls: unknown[] }).syscalls.pop();
    };
    specFromOptions({ spec: edit }, { seccomp: profile });
    expect(profile.syscalls).toHaveLength(1);
  });
});

describe('stopSignal', () => {
  test('is that of the options, the image, or SIGTERM', () => {
    expect(stopSignal({ stopSignal: 'SIGINT' }, { StopSignal: 'SIGQUIT' })).toBe(2);
    expect(stopSignal({}, { StopSignal: 'SIGQUIT' })).toBe(3);
    expect(stopSignal({}, { StopSignal: '9' })).toBe(9);
    expect(stopSignal({}, { StopSignal: '' })).toBe(15);
    expect(stopSignal({})).toBe(15);
  });
  test('refuses an image that has none of the kernel’s', () => {
    expect(() => stopSignal({}, { StopSignal: 'SIGNOPE' })).toThrow('unknown signal "SIGNOPE"');
  });
});
