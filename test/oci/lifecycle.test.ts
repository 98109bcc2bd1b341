import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { testIf } from '../support/requires.ts';
import { type Config, eventually, isAlive, Place } from './oci.ts';

const test = testIf('userns', 'busybox');
let place: Place;

beforeAll(() => {
  place = new Place();
});
afterAll(() => place.remove());

test('create, start, state, kill and delete are five processes and one container', async () => {
  const file = `${place.directory.path}/pid`;
  const bundle = place.bundle('echo up; exec sleep 1000');
  await place.ok('create', '-b', bundle, '--pid-file', file, 'five');
  const pid = Number(readFileSync(file, 'utf8'));
  expect(await place.state('five')).toMatchObject({
    ociVersion: '1.3.0',
    id: 'five',
    status: 'created',
    pid,
    bundle,
    rootfs: place.rootfs.path,
    created: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
  });
  expect(isAlive(pid)).toBe(true);
  await place.ok('start', 'five');
  expect(await place.status('five')).toBe('running');
  await eventually(() => readFileSync(`/proc/${pid}/comm`, 'utf8') === 'sleep\n', 'the shell to execute sleep');
  await place.ok('kill', 'five', 'KILL');
  await place.until('five', 'stopped');
  expect(await place.state('five')).toMatchObject({ pid: 0 });
  await place.ok('delete', 'five');
  expect(await place.runts(['state', 'five'])).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('container does not exist'),
  });
  expect(place.left()).toEqual([]);
});

describe('what cannot be', () => {
  const refused = async (args: string[], text: string) => {
    const { code, stderr } = await place.runts(args);
    expect(stderr).toContain(text);
    expect(code).toBe(args[0] === 'exec' ? 255 : 1);
  };

  test('a second create of an id, a start of what runs, a delete of what runs', async () => {
    const bundle = place.bundle('exec sleep 1000');
    await place.ok('create', '-b', bundle, 'one');
    const before = await place.state('one');
    await refused(['create', '-b', bundle, 'one'], 'container with given ID already exists');
    expect(await place.state('one')).toEqual(before);
    await place.ok('start', 'one');
    await refused(['start', 'one'], 'cannot start an already running container');
    await refused(['delete', 'one'], 'cannot delete container one that is not stopped: running');
    expect(await place.status('one')).toBe('running');
    await place.ok('delete', '--force', 'one');
    await place.ok('delete', '--force', 'one');
    await refused(['delete', 'one'], 'container does not exist');
    await refused(['start', 'one'], 'container does not exist');
    await refused(['kill', 'one', '9'], 'container does not exist');
    await refused(['exec', 'one', 'true'], 'container does not exist');
  });

  test('a start and a kill of what has stopped', async () => {
    await place.ok('create', '-b', place.bundle('exit 0'), 'ended');
    await place.ok('start', 'ended');
    await place.until('ended', 'stopped');
    await refused(['start', 'ended'], 'cannot start a container that has stopped');
    await refused(['kill', 'ended', '9'], 'container not running');
    await refused(['exec', 'ended', 'true'], 'not running');
    await place.ok('delete', 'ended');
  });

  test.each(['..', '.', 'a/b', '/abs', 'a b', '', 'a\nb', 'ä', 'x'.repeat(300)])('the id %j', async (id) => {
    const before = place.left();
    const { code, stderr } = await place.runts(['create', '-b', place.bundle('true'), id]);
    expect(code).toBe(1);
    expect(stderr).not.toBe('');
    expect(place.left()).toEqual(before);
  });

  test('a command that is not there: an error of create, which leaves nothing', async () => {
    await refused(['create', '-b', place.bundle(['nosuch']), 'none'], 'executable file not found in $PATH');
    await refused(['create', '-b', place.bundle(['/nosuch']), 'none'], 'exec /nosuch: no such file or directory');
    expect(place.left()).not.toContain('none');
  });

  test('a pid file that cannot be written: the container is removed again', async () => {
    await refused(['create', '-b', place.bundle('true'), '--pid-file', '/nosuch/pid', 'nopid'], '/nosuch/pid');
    expect(place.left()).not.toContain('nopid');
  });
});

test('a created container that is killed or deleted never runs its command', async () => {
  const bundle = place.bundle('touch /ran; sleep 1000');
  for (const end of [
    ['kill', 'never', 'KILL'],
    ['delete', 'never'],
  ]) {
    await place.ok('create', '-b', bundle, 'never');
    const { pid } = await place.state('never');
    await place.ok(...end);
    await eventually(() => !isAlive(pid), 'the init to end');
    await place.runts(['delete', '--force', 'never']);
    expect(existsSync(`${place.rootfs.path}/ran`)).toBe(false);
  }
});

test('run is all of it: the exit code, the output, and nothing left', async () => {
  const ran = await place.runts(['run', '-b', place.bundle('cat; echo $0; exit 7'), 'all'], { input: 'in\n' });
  expect(ran).toMatchObject({ code: 7, stdout: 'in\nsh\n', stderr: '' });
  const killing = place.start(['run', '-b', place.bundle('echo up; exec sleep 1000'), 'all']);
  await killing.shows('up');
  await place.ok('kill', 'all', '9');
  expect(await killing.ended).toMatchObject({ code: 137, stderr: '' });
  expect(place.left()).not.toContain('all');
});

test('run leaves a container alone that got the name of its own meanwhile', async () => {
  const bundle = place.bundle('echo up; exec sleep 1000');
  const running = place.start(['run', '-b', bundle, 'again']);
  await running.shows('up');
  await place.until('again', 'running');
  running.child.kill('SIGSTOP');
  await place.ok('delete', '-f', 'again');
  await place.ok('run', '-d', '-b', bundle, 'again');
  running.child.kill('SIGCONT');
  expect(await running.ended).toMatchObject({ code: 137, stderr: '' });
  expect(await place.status('again')).toBe('running');
  await place.ok('delete', '-f', 'again');
});

test('run --detach leaves it running, and the bundle is not read again', async () => {
  const bundle = place.bundle('exec sleep 1000');
  await place.ok('run', '-d', '-b', bundle, 'behind');
  writeFileSync(`${bundle}/config.json`, 'broken');
  expect(await place.status('behind')).toBe('running');
  expect(await place.ok('exec', 'behind', 'echo', 'inside')).toBe('inside\n');
  expect((await place.ok('ps', '-f', 'json', 'behind')).trim()).toMatch(/^\[\d+\]$/);
  await place.ok('delete', '-f', 'behind');
});

test('the configuration is what it was at create', async () => {
  const bundle = place.bundle('echo first');
  const running = await place.runts(['create', '-b', bundle, 'kept']);
  expect(running.code).toBe(0);
  const config: Config = JSON.parse(readFileSync(`${bundle}/config.json`, 'utf8'));
  config.process.args = ['echo', 'second'];
  config.hooks = { poststop: [{ path: '/bin/false' }] };
  writeFileSync(`${bundle}/config.json`, JSON.stringify(config));
  await place.ok('start', 'kept');
  await place.until('kept', 'stopped');
  expect((await place.runts(['delete', 'kept'])).stderr).toBe('');
});
