import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { ImageStore } from '../../../lib/images/store/store.ts';
import { testIf } from '../../support/requires.ts';
import { temporaryDirectory } from '../../support/unpacked.ts';
import { compileWorker, filesBelow, startWorker } from './workers.ts';

/** `RUNTS_KILLS=all` kills at every point; otherwise at some of them, others each time. */
const everywhere = process.env['RUNTS_KILLS'] === 'all';

/** That a store is whole, whatever was going on: what is named is there, what is there is what its name says. */
async function mustBeWhole(directory: string): Promise<void> {
  const store = await ImageStore.open(directory);
  expect(await store.verify()).toMatchObject({ damaged: [], missing: [] });
  expect((await store.survey()).damaged).toEqual([]);
}

/** That the next one goes on with it, and that nothing of the one that was killed is left in the end. */
async function mustGoOn(directory: string, worker: string): Promise<void> {
  expect(await startWorker(worker, [directory, 'pull', '1']).ended).toMatchObject({ code: 0 });
  const store = await ImageStore.open(directory);
  await store.collect({ graceMs: -1000, partialMs: -1000 });
  expect((await store.resolve('image1'))?.manifest.layers).toHaveLength(2);
  await mustBeWhole(directory);
  const others = filesBelow(directory).filter((path) => !path.startsWith('blobs/'));
  expect(others.sort()).toEqual(['index.json', 'lock', 'oci-layout', 'reserve']);
}

test(
  'a process that is killed at any time leaves a store that is whole, and that the next one goes on with',
  async () => {
    const worker = await compileWorker();
    const directory = join(await temporaryDirectory(), 'images');
    for (let round = 0; round < (everywhere ? 200 : 12); round++) {
      const victim = startWorker(worker, [directory, 'forever']);
      await victim.said('ready');
      await setTimeout(Math.random() * 150);
      victim.process.kill('SIGKILL');
      expect(await victim.ended).toMatchObject({ code: 'SIGKILL' });
      await mustBeWhole(directory);
    }
    await mustGoOn(directory, worker);
  },
  everywhere ? 1_800_000 : 90_000,
);

/** Every system call that changes the store. */
const changes = 'mkdir,flock,write,pwrite64,ftruncate,fsync,utimensat,rename,unlink';

const traced = (kill: string, log: string) => ['strace', '-f', '-qq', '-o', log, '-e', `trace=${changes}`, '-e', kill];

testIf('strace')(
  'killed before any system call that changes something, it leaves a store that is whole',
  async () => {
    const worker = await compileWorker();
    const count = async (call: string): Promise<number> => {
      const directory = join(await temporaryDirectory(), 'images');
      const log = join(directory, '../log');
      const under = ['strace', '-f', '-qq', '-o', log, '-e', `trace=${call}`];
      expect(await startWorker(worker, [directory, 'pull', '1'], under).ended).toMatchObject({ code: 0 });
      // strace counts for each thread by itself.
      const threads = readFileSync(log, 'utf8')
        .split('\n')
        .filter((line) => line.includes(`${call}(`))
        .map((line) => line.split(' ', 1)[0]!);
      const times = new Map<string, number>();
      for (const thread of threads) times.set(thread, (times.get(thread) ?? 0) + 1);
      return Math.max(0, ...times.values());
    };
    const points: [string, number][] = [];
    for (const call of changes.split(',')) {
      const times = await count(call);
      for (let nth = 1; nth <= times; nth++) points.push([call, nth]);
    }
    expect(points.length).toBeGreaterThan(40);
    const chosen = everywhere ? points : points.filter(() => Math.random() < 14 / points.length);
    for (const [call, nth] of chosen) {
      const directory = join(await temporaryDirectory(), 'images');
      const under = traced(`inject=${call}:signal=KILL:when=${nth}`, join(directory, '../log'));
      await startWorker(worker, [directory, 'pull', '1'], under).ended;
      await mustBeWhole(directory);
      await mustGoOn(directory, worker);
    }
  },
  everywhere ? 1_800_000 : 90_000,
);
