import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import { type Container, createContainer, type LogOptions } from '../../lib/index.ts';
import { testIf } from '../support/requires.ts';

const test = testIf('userns');

async function started(script: string): Promise<Container> {
  const container = await createContainer({ host: true, command: ['sh', '-c', script] });
  return container.start();
}

async function texts(container: Container, options: LogOptions = {}): Promise<string[]> {
  const found: string[] = [];
  for await (const line of container.logs(options)) found.push(line.text);
  return found;
}

test('lines of both streams are kept, with their stream and time', async () => {
  const before = new Date();
  await using container = await started('echo one; sleep 0.05; echo two >&2; sleep 0.05; printf three');
  await container.wait();
  const found = [];
  for await (const line of container.logs()) found.push(line);
  expect(found.map(({ stream, text }) => [stream, text])).toEqual([
    ['stdout', 'one'],
    ['stderr', 'two'],
    ['stdout', 'three'],
  ]);
  for (const { at } of found) expect(at.getTime()).toBeGreaterThanOrEqual(before.getTime());
});

test('follow goes on until the command ends', async () => {
  await using container = await started('for i in 1 2 3; do echo $i; sleep 0.05; done');
  expect(await texts(container, { follow: true })).toEqual(['1', '2', '3']);
});

test('two readers each get everything', async () => {
  await using container = await started('for i in 1 2 3; do echo $i; sleep 0.02; done');
  const both = await Promise.all([texts(container, { follow: true }), texts(container, { follow: true })]);
  expect(both).toEqual([
    ['1', '2', '3'],
    ['1', '2', '3'],
  ]);
});

test('without follow there is what there is', async () => {
  await using container = await started('echo now; exec sleep 1000');
  for await (const line of container.logs({ follow: true })) if (line.text === 'now') break;
  expect(await texts(container)).toEqual(['now']);
});

test('tail gives the last lines only', async () => {
  await using container = await started('for i in 1 2 3 4 5; do echo $i; done');
  await container.wait();
  expect(await texts(container, { tail: 2 })).toEqual(['4', '5']);
  expect(await texts(container, { tail: 0 })).toEqual([]);
  expect(await texts(container, { tail: 100 })).toHaveLength(5);
});

test('since leaves out what is older', async () => {
  await using container = await started('echo old; sleep 0.15; echo new');
  for await (const line of container.logs({ follow: true })) if (line.text === 'old') break;
  await sleep(50);
  const since = new Date();
  expect(await texts(container, { since, follow: true })).toEqual(['new']);
});

test('a signal ends following, with its reason', async () => {
  await using container = await started('echo one; exec sleep 1000');
  const reason = new Error('enough');
  const controller = new AbortController();
  setTimeout(() => controller.abort(reason), 50);
  await expect(texts(container, { follow: true, signal: controller.signal })).rejects.toBe(reason);
  expect(container.status).toBe('running');
});

test('logs outlive the container, and removal ends those who follow', async () => {
  const container = await started('echo last; exec sleep 1000');
  const following = texts(container, { follow: true });
  for await (const line of container.logs({ follow: true })) if (line.text === 'last') break;
  await container.remove({ force: true });
  expect(await following).toEqual(['last']);
  expect(await texts(container)).toEqual(['last']);
});

test('a line that never ends is cut, and a flood forgets the oldest', async () => {
  await using container = await started('head -c 100000 /dev/zero | tr "\\0" x; echo; seq 1 50000');
  await container.wait();
  const found = await texts(container);
  expect(found.length).toBeLessThanOrEqual(20_000);
  expect(found.at(-1)).toBe('50000');
  expect(Math.max(...found.map((text) => text.length))).toBeLessThanOrEqual(16 * 1024);
});

test('a long line that comes at once is cut like one that comes in pieces', async () => {
  await using container = await started("printf '%020000d\\n' 0 >/tmp/l; dd if=/tmp/l bs=64k status=none");
  await container.wait();
  expect((await texts(container)).map((text) => text.length)).toEqual([16_384, 3616]);
});

test('what a bounded log has forgotten is told', async () => {
  await using container = await started('seq 1 50000');
  await container.wait();
  const { logs } = await container.inspect();
  const found = await texts(container);
  expect(logs.droppedLines).toBeGreaterThan(0);
  expect(found.length + logs.droppedLines!).toBe(50_000);
  expect(found[0]).toBe(String(logs.droppedLines! + 1));
});

test('reading what is there lets timers run', async () => {
  await using container = await started('seq 1 9000');
  await container.wait();
  let turns = 0;
  const timer = setInterval(() => turns++, 1);
  for await (const _ of container.logs()) {
    const busy = performance.now() + 0.01;
    while (performance.now() < busy);
  }
  clearInterval(timer);
  expect(turns).toBeGreaterThan(5);
});

test('characters that arrive in pieces are whole', async () => {
  await using container = await started("printf '\\303'; sleep 0.05; printf '\\244\\n'");
  await container.wait();
  expect(await texts(container)).toEqual(['ä']);
});
