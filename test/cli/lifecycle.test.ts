import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { testIf } from '../support/requires.ts';
import { type Bundles, bundles } from './bundle.ts';

const test = testIf('userns', 'busybox');
let on: Bundles;
beforeAll(() => {
  on = bundles();
});
afterAll(() => on.remove());

const ok = { code: 0, stdout: '', stderr: '' };
const state = async (id: string) => JSON.parse((await on.runts(['state', id])).stdout);
const until = (id: string, status: string) =>
  expect.poll(async () => (await state(id)).status, { timeout: 10_000 }).toBe(status);

test('create, start, the end, delete: each state is told as it is', async () => {
  const bundle = on.make('life', ['sh', '-c', 'echo ran > /tmp/life; sleep 0.2']);
  expect(await on.detached(['create', '-b', bundle, '--pid-file', 'pid', 'life'], { cwd: bundle })).toEqual({
    ...ok,
    signal: null,
  });
  const created = await state('life');
  expect(created).toMatchObject({ ociVersion: '1.3.0', id: 'life', status: 'created', bundle });
  expect(Object.keys(created)).toEqual(['ociVersion', 'id', 'pid', 'status', 'bundle', 'rootfs', 'created', 'owner']);
  expect(created.created).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$/);
  expect(readFileSync(join(bundle, 'pid'), 'utf8')).toBe(String(created.pid));
  expect(readFileSync(`/proc/${created.pid}/stat`, 'utf8')).toMatch(/^\d+ /);

  expect(await on.runts(['start', 'life'])).toMatchObject(ok);
  await until('life', 'stopped');
  expect((await state('life')).pid).toBe(0);
  expect(await on.runts(['start', 'life'])).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/stopped: life\n$/),
  });
  expect(await on.runts(['delete', 'life'])).toMatchObject(ok);
  expect(await on.runts(['state', 'life'])).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('does not exist'),
  });
});

test('annotations and owner are told', async () => {
  const bundle = on.make('notes', ['true'], (config) => {
    config.annotations = { 'org.example.a': 'b' };
  });
  await on.detached(['create', '-b', bundle, 'notes']);
  expect(await state('notes')).toMatchObject({
    annotations: { 'org.example.a': 'b' },
    owner: expect.stringMatching(/./),
  });
  expect(await on.runts(['delete', 'notes'])).toMatchObject(ok);
});

describe('one that runs', () => {
  beforeAll(async () => {
    const bundle = on.make('runs', ['sleep', '1000']);
    const { code, stderr } = await on.detached(['run', '-d', '-b', bundle, 'runs']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  });
  afterAll(async () => void (await on.runts(['delete', '-f', 'runs'])));

  test('is in the list: as a table, as JSON in one line, as ids', async () => {
    const { pid } = await state('runs');
    const table = (await on.runts(['list'])).stdout.split('\n');
    expect(table[0]).toMatch(/^ID +PID +STATUS +BUNDLE +CREATED +OWNER$/);
    expect(table.find((line) => line.startsWith('runs '))).toMatch(
      new RegExp(`^runs +${pid} +running +/.*/runs +\\d{4}-`),
    );
    const json = (await on.runts(['list', '--format', 'json'])).stdout;
    expect(json).toMatch(
      /^\[\{"ociVersion":"1\.3\.0","id":"runs","pid":\d+,"status":"running","bundle":"[^"]+","rootfs":"[^"]+","created":"[^"]+","owner":"[^"]+"\}\]\n$/,
    );
    expect((await on.runts(['list', '-q'])).stdout).toBe('runs\n');
  });

  test('its processes are printed by number, by ps, and with options of ps', async () => {
    const { pid } = await state('runs');
    expect((await on.runts(['ps', '-f', 'json', 'runs'])).stdout).toBe(`[${pid}]\n`);
    const [header, line, ...rest] = (await on.runts(['ps', 'runs'])).stdout.split('\n');
    expect(header).toMatch(/^UID +PID +PPID +C +STIME +TTY +TIME +CMD$/);
    expect(line).toMatch(new RegExp(` ${pid} .* sleep 1000$`));
    expect(rest).toEqual(['']);
    expect((await on.runts(['ps', 'runs', '-e', '-o', 'pid,comm'])).stdout).toMatch(
      new RegExp(`^ *PID COMMAND\n *${pid} sleep\n$`),
    );
  });

  test('is neither made nor started nor removed again', async () => {
    const bundle = join(on.path, 'runs');
    const { code, stderr } = await on.detached(['create', '-b', bundle, 'runs']);
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: expect.stringContaining('container with given ID already exists'),
    });
    expect((await on.runts(['start', 'runs'])).stderr).toContain('already running container');
    expect((await on.runts(['delete', 'runs'])).stderr).toContain(
      'cannot delete container runs that is not stopped: running',
    );
    expect((await state('runs')).status).toBe('running');
  });

  test('ends by a signal, and with force it is removed whatever it does', async () => {
    expect(await on.runts(['kill', 'runs', 'CONT'])).toMatchObject(ok);
    expect(await on.runts(['kill', 'runs', 'SIGKILL'])).toMatchObject(ok);
    await until('runs', 'stopped');
    expect(await on.runts(['kill', 'runs', '9'])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('container not running'),
    });
    expect(await on.runts(['delete', '--force', 'runs'])).toMatchObject(ok);
    expect(existsSync(join(on.state, 'runs'))).toBe(false);
    expect(await on.runts(['delete', '--force', 'runs'])).toMatchObject(ok);
  });
});

test('a regular expression stands for every container that it matches', async () => {
  const bundle = on.make('many', ['sleep', '1000']);
  for (const id of ['many-1', 'many-2', 'other']) await on.detached(['run', '-d', '-b', bundle, id]);
  expect(await on.runts(['kill', '--regex', '^many-', 'KILL'])).toMatchObject(ok);
  await until('many-2', 'stopped');
  expect((await state('other')).status).toBe('running');
  expect(await on.runts(['delete', '-f', '--regex', '^(many|other)'])).toMatchObject(ok);
  expect((await on.runts(['list', '-q'])).stdout).toBe('');
});

test('a damaged container is in the list, hides nobody, and goes with force', async () => {
  mkdirSync(join(on.state, 'broken'), { recursive: true });
  writeFileSync(join(on.state, 'broken', 'state.json'), '{"version": 1, "id"');
  const { code, stdout, stderr } = await on.runts(['list', '--format', 'json']);
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toEqual([{ id: 'broken', pid: 0, status: 'unknown' }]);
  expect(stderr).toMatch(/level=warning msg="container broken: /);
  expect((await on.runts(['delete', '-f', 'broken'])).code).toBe(0);
  expect(existsSync(join(on.state, 'broken'))).toBe(false);
});

test('a container of another version is not taken for one of which nothing is left', async () => {
  mkdirSync(join(on.state, 'later'), { recursive: true });
  writeFileSync(join(on.state, 'later', 'state.json'), '{"version": 2, "id": "later"}');
  for (const words of [
    ['delete', 'later'],
    ['delete', '-f', 'later'],
    ['state', 'later'],
  ]) {
    const { code, stderr } = await on.runts(words);
    expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining('is not of this version of runts') });
  }
  expect(existsSync(join(on.state, 'later'))).toBe(true);
  rmSync(join(on.state, 'later'), { recursive: true });
});

test('a root that does not exist has no containers', async () => {
  expect((await on.runts(['--root', join(on.path, 'none'), 'list', '-f', 'json'])).stdout).toBe('[]\n');
});

describe('bad input: one line that says what, and exit code 1', () => {
  test.each<[string, string[], string]>([
    ['no id', ['state'], '"state" requires exactly 1 argument(s): ID; got none'],
    ['two ids', ['start', 'a', 'b'], '"start" requires exactly 1 argument(s): ID; got a b'],
    ['an id that is a path', ['state', '../x'], 'invalid container'],
    ['an id that is none', ['state', '..'], 'invalid container'],
    ['a container that is not there', ['kill', 'nosuch'], 'container does not exist: nosuch'],
    ['pause of one that is not there', ['pause', 'nosuch'], 'container does not exist: nosuch'],
    ['resume of one that is not there', ['resume', 'nosuch'], 'container does not exist: nosuch'],
    ['delete of one that is not there', ['delete', 'nosuch'], 'container does not exist: nosuch'],
    ['ps of one that is not there', ['ps', 'nosuch'], 'container does not exist: nosuch'],
    ['events of one that is not there', ['events', '--stats', 'nosuch'], 'container does not exist: nosuch'],
    ['update of one that is not there', ['update', '--memory', '1g', 'nosuch'], 'container does not exist: nosuch'],
    ['a signal that is none', ['kill', 'x', 'TREM'], 'unknown signal "TREM"; did you mean "SIGTERM"?'],
    ['too many words', ['kill', 'x', 'TERM', 'y'], '"kill" requires ID and at most one SIGNAL'],
    ['a bad regular expression', ['kill', '-r', '('], '--regex: is no regular expression'],
    [
      'a format that is none',
      ['list', '-f', 'xml'],
      'invalid format option: --format: must be one of table, json, not "xml"',
    ],
    ['a format of ps that is none', ['ps', '-f', 'xml', 'x'], 'invalid format option'],
    ['an interval that is none', ['events', '--interval', '0', 'x'], '--interval: must be a duration above 0'],
    ['a limit that is none', ['update', '--memory', 'much', 'x'], '--memory: must be a number of bytes'],
    ['resources that are no JSON', ['update', '-r', '/etc/passwd', 'x'], '/etc/passwd: line 1, column 1'],
    ['resources that are not there', ['update', '-r', '/nosuch', 'x'], 'cannot read /nosuch: ENOENT'],
    ['words where none belong', ['features', 'x'], '"features" requires no arguments; got x'],
    ['checkpoint', ['checkpoint', '--image-path', '/x', 'id'], 'checkpoint and restore are out of scope for now'],
    ['restore', ['restore', '--bundle', '/x', 'id'], 'checkpoint and restore are out of scope for now'],
    [
      'an option that nobody knows',
      ['delete', '--froce', 'x'],
      'delete: unknown option --froce; did you mean --force?',
    ],
    ['a negative count', ['create', '--preserve-fds', '-1', 'x'], '--preserve-fds: must be a whole number from 0'],
    [
      'a console socket for nobody',
      ['create', '-b', 'BUNDLE', '--console-socket', '/x', 'x'],
      'cannot use console socket',
    ],
    ['a bundle without a configuration', ['create', '-b', '/', 'x'], 'cannot read /config.json'],
  ])('%s', async (_name, args, message) => {
    const bundle = on.make('fine', ['true']);
    const words = args.map((word) => (word === 'BUNDLE' ? bundle : word));
    const { code, stdout, stderr } = await on.runts(words);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toContain(message);
    expect(stderr).toMatch(/^runts: [^\n]+\n$/);
  });

  test('a terminal needs somebody who takes its other end', async () => {
    const bundle = on.make('tty', ['true'], ({ process }) => {
      process.terminal = true;
    });
    for (const args of [['create'], ['run', '-d']]) {
      const { code, stderr } = await on.runts([...args, '-b', bundle, 'tty']);
      expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining('use --console-socket') });
    }
  });

  test('everything that is wrong with a configuration', async () => {
    const bundle = on.make('wrong', [], (config) => {
      config.process.cwd = 'x';
      config.hostname = 5;
    });
    const { code, stderr } = await on.detached(['create', '-b', bundle, 'wrong']);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^runts: .*config\.json is not valid: .*\/process\/args.*\/process\/cwd.*\/hostname: .*\n$/);
    expect(existsSync(join(on.state, 'wrong'))).toBe(false);
  });
});

describe('the log', () => {
  const log = (name: string) => join(on.path, name);
  test('in a file an error is a line of JSON, with the hint in it, and standard error has it too', async () => {
    const { stderr } = await on.runts(['--log', log('j'), '--log-format', 'json', 'state', 'nosuch']);
    const [line, ...rest] = readFileSync(log('j'), 'utf8').split('\n');
    const entry = JSON.parse(line!);
    expect(Object.keys(entry)).toEqual(['level', 'msg', 'time']);
    expect(entry).toMatchObject({
      level: 'error',
      msg: expect.stringMatching(/^container does not exist: nosuch \(.*\)$/),
    });
    expect(Number.isNaN(Date.parse(entry.time))).toBe(false);
    expect(rest).toEqual(['']);
    expect(stderr).toBe(`${entry.msg}\n`);
  });

  test('as text it has the form that logrus gave it', async () => {
    await on.runts(['--log', log('t'), 'state', 'nosuch']);
    await on.runts(['--log', `file:${log('t')}`, 'state', 'nosuch']);
    const lines = readFileSync(log('t'), 'utf8').trimEnd().split('\n');
    expect(lines).toHaveLength(2);
    for (const line of lines)
      expect(line).toMatch(/^time="[^"]+Z" level=error msg="container does not exist: nosuch .*"$/);
  });

  test('--debug tells what is asked of the host, in the log and not beside it', async () => {
    const { stderr } = await on.runts(['--debug', '--log', log('d'), 'list']);
    expect(stderr).toBe('');
    expect(readFileSync(log('d'), 'utf8')).toMatch(/level=debug msg="files\.list/);
    expect((await on.runts(['--debug', 'list'])).stderr).toMatch(/^time=.* level=debug /);
  });

  test('one that cannot be opened is refused before anything is done', async () => {
    const { code, stderr } = await on.runts(['--log', '/nosuch/log', 'list']);
    expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining('cannot open the log /nosuch/log') });
    expect((await on.runts(['--log', 'journald:x', 'list'])).stderr).toContain('only files can be logged to');
  });
});
