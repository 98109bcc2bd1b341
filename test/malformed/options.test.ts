import { Readable } from 'node:stream';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createRuntime, type Runtime, RuntsError } from '../../lib/index.ts';
import type { Look } from '../support/look.ts';
import { testIf } from '../support/requires.ts';
import { Place } from './place.ts';

// The library's options, each with every kind of value that it cannot have: run and createContainer reject with one error that
// names the option, and nothing was made.

const place = new Place();
let runtime: Runtime;
let before: Look;
const good = { rootfs: place.rootfs, command: ['true'] };

beforeAll(async () => {
  runtime = createRuntime({ root: `${place.path}/data`, state: place.state });
  await runtime.run(good);
  before = place.look();
});
afterAll(() => place.remove());

const anything = [
  5,
  -1,
  1.5,
  Number.NaN,
  2 ** 64,
  7n,
  true,
  '',
  'a\0b',
  [],
  {},
  [null],
  [{}],
  () => 1,
  Symbol('x'),
  null,
];

/** Of `anything`, what an option can have; for an option that is not named here none of it. */
const fine: Readonly<Record<string, readonly unknown[]>> = {
  entrypoint: [[]],
  env: [{}],
  labels: [{}],
  limits: [{}],
  mounts: [[]],
  ports: [[]],
  capabilities: [{}],
  noNewPrivileges: [true],
  readonly: [true],
  init: [true],
  tty: [true],
  time: [{}],
  input: ['', 'a\0b'],
  timeout: [5],
  reject: [true],
  maxOutput: [5],
  stdin: [5],
  stdout: [5],
  stderr: [5],
  stopSignal: [5],
};
const names = [
  ...[
    'name',
    'entrypoint',
    'command',
    'env',
    'cwd',
    'user',
    'hostname',
    'labels',
    'mounts',
    'ports',
    'network',
    'limits',
  ],
  ...[
    'capabilities',
    'seccomp',
    'noNewPrivileges',
    'readonly',
    'userns',
    'time',
    'init',
    'tty',
    'stdin',
    'stdout',
    'stderr',
  ],
  ...['stopSignal', 'input', 'timeout', 'reject', 'maxOutput', 'rootfs'],
];

async function refusal(options: unknown): Promise<RuntsError> {
  const error = await runtime.run(options as Parameters<Runtime['run']>[0]).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(RuntsError.is(error), String(error)).toBe(true);
  return error as RuntsError;
}

const isFine = (name: string, value: unknown) =>
  fine[name]?.some(
    (each) => Object.is(each, value) || (typeof value === 'object' && JSON.stringify(each) === JSON.stringify(value)),
  );

test.each(names)('%s', async (name) => {
  for (const value of anything.filter((each) => !isFine(name, each))) {
    const { code, issues = [], message } = await refusal({ ...good, [name]: value });
    expect(code, message).toBe('ERR_SPEC');
    expect(
      issues.some(({ path }) => path === `/${name}` || path.startsWith(`/${name}/`)),
      message,
    ).toBe(true);
    expect(message.length).toBeLessThan(4096);
  }
});

test.each<[string, unknown]>([
  ['nothing', undefined],
  ['null', null],
  ['a number', 5],
  ['a list', []],
  ['a function', () => 1],
  ['no source', { command: ['true'] }],
  ['two sources', { ...good, host: true }],
  ['an unknown option', { ...good, comand: ['x'] }],
  ['__proto__', JSON.parse('{"__proto__":{"rootfs":"/"},"command":["true"]}')],
  ['a thousand unknown options', Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [`x${i}`, i]))],
  ['the root of the host', { ...good, rootfs: '/' }],
  ['the root of the host by a link', { ...good, rootfs: '/proc/self/root' }],
])('instead of options %s', async (_, options) => {
  const { code, message } = await refusal(options);
  expect(code).toBe('ERR_SPEC');
  expect(message.length).toBeLessThan(4096);
});

testIf('userns')('nothing is left of all that', async () => {
  await place.unchanged(before);
});

testIf('userns')('what is asked of a container has each argument checked, and getters may throw', async () => {
  const thrower = {
    get x() {
      throw new Error('thrown by a getter');
    },
  };
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  const lies = (value: unknown) => value as never;
  await using container = await runtime.createContainer({ ...good, command: ['true'] });
  const wrong: (() => Promise<unknown>)[] = [
    ...[null, 5, 'x', []].flatMap((value) => [
      async () => runtime.createContainer(lies(value)),
      async () => createRuntime(lies(value)),
      () => container.exec(['true'], lies(value)),
      () => container.copyIn(Readable.from([]), '/', lies(value)),
      () => container.copyOut('/', lies(value)),
    ]),
    ...[null, 5, {}, () => 1, 7n, Symbol('x'), 'text'].map((value) => () => container.copyIn(lies(value), '/')),
    ...[null, 5.5, 7n, {}, 'relative', 'a\0b'].flatMap((value) => [
      () => container.copyIn(Readable.from([]), lies(value)),
      () => container.copyOut(lies(value)),
      () => container.copyOut('/', { signal: lies(value) }),
      async () => container.kill(lies(value)),
    ]),
    ...[thrower, proxy, ['TERM']].map((value) => async () => container.kill(lies(value))),
    ...['env', 'labels'].map((name) => () => runtime.createContainer(lies({ ...good, [name]: thrower }))),
  ];
  for (const [i, work] of wrong.entries()) {
    const error = await Promise.resolve()
      .then(work)
      .then(
        () => 'it was accepted',
        (reason: unknown) => reason,
      );
    expect(RuntsError.is(error) ? error.code : `${i}: ${(error as Error).stack ?? String(error)}`).toMatch(
      /^ERR_(SPEC|STATE)$/,
    );
  }
});
