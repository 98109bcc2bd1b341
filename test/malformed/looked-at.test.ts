import { afterAll, describe, expect, test } from 'vitest';
import { createRuntime, RuntsError } from '../../lib/index.ts';
import { checkOptions } from '../../lib/spec/check-options.ts';
import { checkExec } from '../../lib/spec/exec-options.ts';
import { plainCopy } from '../../lib/spec/plain.ts';
import { testIf } from '../support/requires.ts';
import { Place } from './place.ts';

// Options that cannot be looked at, that change while they are, or that have more in them than anything takes.

const place = new Place();
const at = { root: `${place.path}/data`, state: place.state };
afterAll(() => place.remove());

const lies = (value: unknown) => value as never;
function thrower(name: string): object {
  return Object.defineProperty({}, name, {
    enumerable: true,
    get() {
      throw new Error('thrown by a getter');
    },
  });
}
function revoked(target: object = {}): object {
  const { proxy, revoke } = Proxy.revocable(target, {});
  revoke();
  return proxy;
}

/** A million items and more are refused in the time that it takes to count them. */
const many = 2_000_000;
const list = (item: unknown) => new Array(many).fill(item);

async function refusal(work: () => unknown): Promise<RuntsError> {
  const error = await Promise.resolve()
    .then(work)
    .then(
      () => new Error('it was accepted'),
      (reason: unknown) => reason,
    );
  expect(RuntsError.is(error) ? error.code : String((error as Error).stack)).toBe('ERR_SPEC');
  return error as RuntsError;
}

describe('createRuntime', () => {
  test.each<[string, unknown, string]>([
    ['a getter that throws', thrower('root'), '/root'],
    ['a getter that throws, of a registry', { registries: thrower('localhost:5000') }, '/registries/localhost:5000'],
    ['one of what a registry has', { registries: { 'localhost:5000': thrower('mirrors') } }, '/mirrors'],
    ['one within volumes', { volumes: { maxByDriver: thrower('local') } }, '/volumes/maxByDriver/local'],
    ['a proxy that was revoked', revoked(), ''],
    ['one instead of a path', { root: revoked() }, '/root'],
    ['one instead of registries', { registries: revoked() }, '/registries'],
    ['one instead of a list', { volumes: { plugins: revoked([]) } }, '/volumes/plugins'],
    ['what cannot be written', { root: { toString: null } }, '/root'],
    ['limits that are no object', { volumes: { maxByDriver: 5 } }, '/volumes'],
    ['a list of millions', { volumes: { plugins: list('/x') } }, '/volumes/plugins'],
  ])('%s is refused by its name', async (_, options, path) => {
    const { issues = [] } = await refusal(() => createRuntime(lies(options)));
    expect(issues.map((issue) => issue.path).join()).toContain(path);
  });

  test('objects within themselves are too deep', async () => {
    const circle: Record<string, unknown> = {};
    circle['x'] = circle;
    expect((await refusal(() => createRuntime(lies({ registries: circle })))).message).toContain('deeper');
    expect((await refusal(() => plainCopy(circle, 'cannot'))).message).toContain('deeper');
  });
});

test.each<[string, unknown, string]>([
  ['command', list('x'), '/command'],
  ['entrypoint', list('x'), '/entrypoint'],
  ['mounts', list({ type: 'tmpfs', target: '/x' }), '/mounts'],
  ['env', Object.fromEntries(Array.from({ length: 200_000 }, (_, i) => [`A${i}`, ''])), '/env'],
  ['labels', Object.fromEntries(Array.from({ length: 200_000 }, (_, i) => [`A${i}`, ''])), '/labels'],
])('more in %s than anything takes is one mistake', (name, value, path) => {
  const options = { rootfs: '/x', command: ['true'], [name]: value };
  const issues = checkOptions(options);
  expect(issues).toEqual([{ path, message: expect.stringContaining('must have at most 100000 items') }]);
});

test('nor does a command that joins a container have so much', () => {
  expect(checkExec(list('x'), {})).toEqual([{ path: '/command', message: expect.stringContaining('at most') }]);
});

describe('a container', () => {
  const good = { rootfs: place.rootfs, command: ['true'] };
  const runtime = createRuntime(at);
  afterAll(() => runtime[Symbol.asyncDispose]());

  test.each(['image', 'rootfs', 'pull', 'command', 'limits', 'signal', 'unknown'])(
    'is refused where a getter of %s throws, or its value was revoked',
    async (name) => {
      const { [name as 'rootfs']: _, ...rest } = good;
      const throwing = Object.defineProperties(thrower(name), Object.getOwnPropertyDescriptors(rest));
      for (const options of [throwing, { ...good, [name]: revoked() }, { ...good, [name]: revoked([]) }]) {
        for (const work of [() => runtime.createContainer(lies(options)), () => runtime.run(lies(options))]) {
          const { message, issues = [] } = await refusal(work);
          expect(issues.map(({ path }) => path).join(), message).toContain(`/${name}`);
        }
      }
    },
  );

  test('is refused where all of its options are a proxy that was revoked', async () => {
    await refusal(() => runtime.createContainer(lies(revoked())));
  });

  testIf('userns')('has the options that were looked at, and no others', async () => {
    let looks = 0;
    const options = {
      ...good,
      get env() {
        looks++;
        return looks === 1 ? { A: '1' } : { A: 5 };
      },
    };
    const container = await runtime.createContainer(lies(options));
    await container.remove();
    expect(looks).toBe(1);
  });
});
