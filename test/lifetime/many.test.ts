import { readdirSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { expect } from 'vitest';
import { createContainer, run } from '../../lib/index.ts';
import { descendants, expectUnchanged, look } from '../support/look.ts';
import { testIf } from '../support/requires.ts';
import { Fixture } from './fixture.ts';

const test = testIf('userns');
const sleeper = { host: true as const, command: ['sleep', '1000'] };

test('a hundred containers, made and removed, leave the process as it was', async () => {
  for (let i = 0; i < 4; i++) await run({ host: true, command: ['true'] });
  // A keeper stays for the next one.
  await (await createContainer(sleeper)).remove();
  const before = look();
  const most = { descriptors: 0, children: 0 };
  for (let i = 0; i < 100; i += 4) {
    const containers = await Promise.all(
      [1, 2, 3, 4].map((n) => createContainer({ ...sleeper, init: n % 2 === 0, tty: n === 3 })),
    );
    await Promise.all(containers.slice(0, 3).map((container) => container.start()));
    most.descriptors = Math.max(most.descriptors, readdirSync('/proc/self/fd').length);
    most.children = Math.max(most.children, descendants().length);
    await Promise.all(containers.map((container) => container.remove({ force: true })));
  }
  await expectUnchanged(before);
  // At most four at a time: nothing piles up in between either.
  expect(most.descriptors).toBeLessThan(before.descriptors.length + 60);
  expect(most.children).toBeLessThan(before.processes.length + 20);
}, 60_000);

test('containers that ended and were dropped are collected, with their descriptors', async () => {
  const node = new Fixture('dropped', ['40', 'dropped'], ['--expose-gc']);
  const { before, after } = await node.says<{ before: number; after: number }>();
  await node.ends();
  expect(after - before).toBeLessThan(8);
});

test('containers that were removed leave no descriptor', async () => {
  const node = new Fixture('dropped', ['40', 'removed'], ['--expose-gc']);
  const { before, after } = await node.says<{ before: number; after: number }>();
  await node.ends();
  expect(after).toBeLessThanOrEqual(before);
});

test('making containers does not block the event loop', async () => {
  await run({ host: true, command: ['true'] });
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  for (let i = 0; i < 30; i++) {
    const container = await createContainer(sleeper);
    await container.remove();
  }
  delay.disable();
  const ms = (ns: number) => Math.round(ns / 10_000) / 100 - 1;
  const report = { p50: ms(delay.percentile(50)), p99: ms(delay.percentile(99)), max: ms(delay.max) };
  process.stderr.write(`event loop beyond its tick while containers are made, in ms: ${JSON.stringify(report)}\n`);
  // Other tests share the processors: only a fork of Node or a synchronous wait takes so long.
  expect(report.p50).toBeLessThan(10);
});
