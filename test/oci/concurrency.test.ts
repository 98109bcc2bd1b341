import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect } from 'vitest';
import { command as program } from '../cli/runts.ts';
import { look } from '../support/look.ts';
import { testIf } from '../support/requires.ts';
import { eventually, Place, processesWith } from './oci.ts';

const test = testIf('userns', 'busybox');
let place: Place;

beforeAll(() => {
  place = new Place();
});
afterAll(() => place.remove());

const minuteMs = 60_000;
/** Nobody else's containers have such names, nor such commands. */
const prefix = `oci-${process.pid}-`;
const unique = `${1_000_000 + process.pid}`;
const command = `exec sleep ${unique}`;

/** Nothing of a container is left: no process, no cgroup, no mount, no file. */
async function expectNothingLeft(before: ReturnType<typeof look>): Promise<void> {
  await eventually(() => processesWith(unique).length === 0, 'the processes of the containers to be gone');
  expect(place.left()).toEqual([]);
  expect(look({ cgroups: prefix })).toEqual(before);
}

test('of two creates of one id exactly one wins, and the other changes nothing', {
  timeout: 3 * minuteMs,
}, async () => {
  const bundle = place.bundle(command);
  for (let round = 0; round < 4; round++) {
    const creates = await Promise.all([1, 2, 3].map(() => place.runts(['create', '-b', bundle, `${prefix}same`])));
    expect(creates.map(({ code }) => code).sort()).toEqual([0, 1, 1]);
    for (const { code, stderr } of creates) if (code === 1) expect(stderr).toContain('already exists');
    expect(await place.status(`${prefix}same`)).toBe('created');
    await place.ok('start', `${prefix}same`);
    await place.ok('delete', '-f', `${prefix}same`);
  }
});

test('twenty creates, starts, execs and deletes at once on one root', { timeout: 5 * minuteMs }, async () => {
  const before = look({ cgroups: prefix });
  const bundle = place.bundle(command);
  const ids = Array.from({ length: 20 }, (_, i) => `${prefix}many${i}`);
  await Promise.all(
    ids.map(async (id) => {
      await place.ok('create', '-b', bundle, id);
      await place.ok('start', id);
      expect(await place.ok('exec', id, 'hostname')).toBe('runts\n');
      await place.ok('delete', '-f', id);
    }),
  );
  await expectNothingLeft(before);
});

/** Runs the command line and kills it, by SIGKILL, after a while. */
async function killedAfter(ms: number, args: readonly string[]): Promise<void> {
  const child = spawn(program[0], [...program.slice(1), '--root', place.root, ...args], { stdio: 'ignore' });
  const ended = once(child, 'exit');
  await sleep(ms);
  child.kill('SIGKILL');
  await ended;
}

test('kill -9 of any command at any moment: list shows what there is, and delete --force removes it whole', {
  timeout: 6 * minuteMs,
}, async () => {
  const bundle = place.bundle(command);
  const before = look({ cgroups: prefix });
  const commands: readonly (readonly [string, readonly string[]])[] = [
    ['none', ['create', '-b', bundle, `${prefix}killed`]],
    ['none', ['run', '-d', '-b', bundle, `${prefix}killed`]],
    ['created', ['start', `${prefix}killed`]],
    ['running', ['exec', `${prefix}killed`, 'sleep', unique]],
    ['running', ['delete', '-f', `${prefix}killed`]],
  ];
  for (let round = 0; round < 6; round++) {
    for (const [from, words] of commands) {
      if (from !== 'none') await place.ok('create', '-b', bundle, `${prefix}killed`);
      if (from === 'running') await place.ok('start', `${prefix}killed`);
      // Node takes its time to begin; what is of interest comes after that.
      await killedAfter(90 + 25 * round, words);
      const listed = (await place.ok('list', '-q')).trim();
      expect(listed === '' ? [] : [listed]).toEqual(place.left());
      await place.ok('delete', '--force', `${prefix}killed`);
      expect(place.left(), words.join(' ')).toEqual([]);
      expect(await place.runts(['run', '-b', place.bundle('true'), `${prefix}killed`])).toMatchObject({
        code: 0,
        stderr: '',
      });
    }
  }
  await expectNothingLeft(before);
});
