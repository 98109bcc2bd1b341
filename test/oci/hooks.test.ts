import { readFileSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, beforeEach, expect } from 'vitest';
import { testIf } from '../support/requires.ts';
import { type Config, eventually, isAlive, Place, processesWith } from './oci.ts';

const test = testIf('userns', 'busybox');
let place: Place;
let log: string;

beforeAll(() => {
  place = new Place();
  log = `${place.directory.path}/log`;
});
afterAll(() => place.remove());
beforeEach(() => writeFileSync(log, ''));

const lines = () => readFileSync(log, 'utf8').trim().split('\n');

const shell = (script: string, more: Config = {}) => ({ path: '/bin/sh', args: ['sh', '-c', script], ...more });

test('hooks of all six kinds run in their order, each told the status of its moment', async () => {
  const noted = (kind: string) =>
    shell(`s=$(cat); s=\${s#*'"status":"'}; echo "${kind} \${s%%'"'*}" >> ${log}`, { env: ['PATH=/bin'] });
  const inside = shell(
    `s=$(cat); s=\${s#*'"status":"'}; p=\${s#*'"pid":'}; echo "\${s%%'"'*} \${p%%,*} $$" > /tmp/started`,
  );
  const bundle = place.bundle('cat /tmp/started; rm /tmp/started', (config) => {
    config.hooks = {
      prestart: [noted('prestart')],
      createRuntime: [noted('createRuntime'), noted('createRuntime2')],
      createContainer: [noted('createContainer')],
      startContainer: [inside],
      poststart: [noted('poststart')],
      poststop: [noted('poststop')],
    };
  });
  await place.ok('create', '-b', bundle, 'six');
  const made = ['prestart created', 'createRuntime creating', 'createRuntime2 creating', 'createContainer creating'];
  expect(lines()).toEqual(made);
  await place.ok('start', 'six');
  expect(lines()).toEqual([...made, 'poststart running']);
  await place.until('six', 'stopped');
  await place.ok('delete', 'six');
  expect(lines()).toEqual([...made, 'poststart running', 'poststop stopped']);
});

test('a hook has exactly its own environment, its arguments, the bundle to work in, and the state on its input', async () => {
  const bundle = place.bundle('true', (config) => {
    config.annotations = { 'com.example.key': 'value' };
    const script = `{ cat; echo; echo "$0 $1"; pwd; /usr/bin/env; } > ${log}`;
    config.hooks = {
      createRuntime: [{ path: '/bin/sh', args: ['name', '-c', script, 'zero', 'one'], env: ['ONLY=this'] }],
    };
  });
  await place.ok('create', '-b', bundle, 'exact');
  const [state, args, cwd, ...env] = lines();
  expect(JSON.parse(state as string)).toEqual({
    ociVersion: '1.3.0',
    id: 'exact',
    status: 'creating',
    pid: (await place.state('exact')).pid,
    bundle,
    annotations: { 'com.example.key': 'value' },
  });
  expect({ args, cwd }).toEqual({ args: 'zero one', cwd: bundle });
  expect(env.filter((entry) => !/^(_|PWD|SHLVL|OLDPWD)=/.test(entry))).toEqual(['ONLY=this']);
  await place.ok('delete', '-f', 'exact');
});

test.each(['prestart', 'createRuntime', 'createContainer'])(
  'a %s hook that fails: create fails, and nothing is left but what poststop says',
  async (kind) => {
    const bundle = place.bundle('true', (config) => {
      config.hooks = {
        [kind]: [shell('true'), shell('echo no luck >&2; exit 3')],
        poststop: [shell(`echo poststop >> ${log}`)],
      };
    });
    const { code, stderr } = await place.runts(['create', '-b', bundle, 'fails']);
    expect(code).toBe(1);
    expect(stderr).toContain(`error running ${kind} hook #1`);
    expect(stderr).toContain('no luck');
    expect(lines()).toEqual(['poststop']);
    expect(place.left()).not.toContain('fails');
  },
);

test('a startContainer hook that fails is an error of start, and the container has stopped', async () => {
  const bundle = place.bundle('true', (config) => {
    config.hooks = { startContainer: [shell('exit 3')] };
  });
  await place.ok('create', '-b', bundle, 'unstarted');
  const { code, stderr } = await place.runts(['start', 'unstarted']);
  expect(code).toBe(1);
  expect(stderr).toContain('error running startContainer hook #0');
  await place.until('unstarted', 'stopped');
  await place.ok('delete', 'unstarted');
});

test('a poststart hook that fails is an error of start, and ends the container', async () => {
  const bundle = place.bundle('exec sleep 1000', (config) => {
    config.hooks = { poststart: [shell('exit 3')] };
  });
  await place.ok('create', '-b', bundle, 'poststart');
  const { pid } = await place.state('poststart');
  expect((await place.runts(['start', 'poststart'])).stderr).toContain('error running poststart hook #0');
  expect(isAlive(pid)).toBe(false);
  await place.ok('delete', 'poststart');
});

test('a poststop hook that fails is told, and the others run all the same', async () => {
  const bundle = place.bundle('true', (config) => {
    config.hooks = { poststop: [shell('exit 3'), shell(`echo second >> ${log}`)] };
  });
  await place.ok('create', '-b', bundle, 'poststop');
  const { code, stderr } = await place.runts(['delete', 'poststop']);
  expect(code).toBe(0);
  expect(stderr).toContain('error running poststop hook #0');
  expect(lines()).toEqual(['second']);
});

test.each(['createRuntime', 'createContainer', 'startContainer'])(
  'a %s hook that takes longer than its timeout is killed, with what it started',
  async (kind) => {
    const bundle = place.bundle('true', (config) => {
      config.hooks = { [kind]: [shell('sleep 4242 & sleep 4242', { timeout: 1, env: ['PATH=/bin:/usr/bin'] })] };
    });
    const began = Date.now();
    const made = await place.runts(['create', '-b', bundle, 'slow']);
    const { code, stderr } = kind === 'startContainer' ? await place.runts(['start', 'slow']) : made;
    expect(code).toBe(1);
    expect(stderr).toContain(`error running ${kind} hook #0`);
    expect(Date.now() - began).toBeLessThan(20_000);
    await eventually(() => processesWith('4242').length === 0, 'the sleepers to be gone');
    await place.runts(['delete', '-f', 'slow']);
  },
);

/** A hook that says that it runs, in a file, and then takes forever; what it started has the same word. */
const endless = (word: string) =>
  shell(`sleep ${word} & echo running >> ${log}; exec sleep ${word}`, { env: ['PATH=/bin:/usr/bin'] });
const running = () => eventually(() => lines().includes('running'), 'the hook to run');

test.each([
  ['create', 'prestart', 'SIGTERM', 143],
  ['create', 'createRuntime', 'SIGINT', 130],
  ['create', 'createContainer', 'SIGTERM', 143],
  ['run', 'createRuntime', 'SIGTERM', 143],
] as const)(
  '%s that is interrupted while a %s hook runs ends it by %s, and leaves nothing',
  async (verb, kind, signal, code) => {
    const word = `4${code}${verb.length}${kind.length}`;
    const bundle = place.bundle('true', (config) => {
      config.hooks = { [kind]: [endless(word)], poststop: [shell(`echo poststop >> ${log}`)] };
    });
    const runts = place.start([verb, '-b', bundle, 'interrupted']);
    await running();
    runts.child.kill(signal);
    expect((await runts.ended).code).toBe(code);
    await eventually(() => processesWith(word).length === 0, 'the hook to be gone');
    expect(lines()).toEqual(['running', 'poststop']);
    expect(place.left()).not.toContain('interrupted');
  },
);

test.each(['start', 'run'])(
  '%s that is interrupted while a poststart hook runs ends hook and container',
  async (verb) => {
    const word = `45${verb.length}`;
    const bundle = place.bundle(`exec sleep ${word}`, (config) => {
      config.hooks = { poststart: [endless(word)] };
    });
    if (verb === 'start') await place.ok('create', '-b', bundle, 'poststarting');
    const runts = place.start(verb === 'start' ? [verb, 'poststarting'] : [verb, '-b', bundle, 'poststarting']);
    await running();
    runts.child.kill('SIGTERM');
    expect(await runts.ended).toMatchObject({ code: 1, stderr: expect.stringContaining('poststart hook #0') });
    await eventually(() => processesWith(word).length === 0, 'hook and command to be gone');
    if (verb === 'start') await place.ok('delete', 'poststarting');
    expect(place.left()).not.toContain('poststarting');
  },
);

test('delete that is interrupted while a poststop hook runs ends the hook, and has deleted', async () => {
  const word = '4601';
  const bundle = place.bundle('true', (config) => {
    config.hooks = { poststop: [endless(word), shell(`echo second >> ${log}`)] };
  });
  await place.ok('create', '-b', bundle, 'poststopping');
  const runts = place.start(['delete', 'poststopping']);
  await running();
  runts.child.kill('SIGTERM');
  expect(await runts.ended).toMatchObject({ code: 0, stderr: expect.stringContaining('poststop hook #0') });
  await eventually(() => processesWith(word).length === 0, 'the hook to be gone');
  expect(lines()).toEqual(['running']);
  expect(place.left()).not.toContain('poststopping');
});
