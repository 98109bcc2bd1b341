import { existsSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import { probeFacts } from '../../lib/host/probe.ts';
import { type Container, createContainer, run } from '../../lib/index.ts';
import { createHost } from '../../lib/node/host.ts';
import { testIf } from '../support/requires.ts';

const test = testIf('userns');
const { cgroup } = await probeFacts(createHost());
const withCgroup = cgroup.parent === undefined ? testIf('root', 'cgroup2') : test;
const without = (controller: string) => !cgroup.controllers.includes(controller);

const counting = 'i=0; while :; do i=$((i+1)); echo $i; sleep 0.02; done';
const started = async (script: string): Promise<Container> => {
  const container = await createContainer({ host: true, command: ['sh', '-c', script] });
  return container.start();
};
const count = async (container: Container): Promise<number> => {
  let last = 0;
  for await (const { text } of container.logs({ tail: 1 })) last = Number(text);
  return last;
};
const until = async (done: () => Promise<boolean>): Promise<void> => {
  const end = Date.now() + 20_000;
  while (!(await done())) {
    if (Date.now() > end) throw new Error('it did not come to that');
    await sleep(10);
  }
};

withCgroup('a paused container does nothing until it is resumed', async () => {
  await using container = await started(counting);
  await until(async () => (await count(container)) > 2);
  await container.pause();
  expect(container.status).toBe('paused');
  expect((await container.inspect()).status).toBe('paused');
  // What it had written before may still be on its way.
  await sleep(100);
  const before = await count(container);
  await sleep(300);
  expect(await count(container)).toBe(before);
  await expect(container.exec(['true'])).rejects.toMatchObject({ code: 'ERR_STATE' });
  await expect(container.pause()).rejects.toMatchObject({ code: 'ERR_STATE' });
  await container.resume();
  expect(container.status).toBe('running');
  await until(async () => (await count(container)) > before);
  await expect(container.resume()).rejects.toMatchObject({ code: 'ERR_STATE' });
});

withCgroup('a paused container hears of a stop, dies of a kill, and is not removed by mistake', async () => {
  await using stopped = await started('trap "exit 7" TERM; echo up; while :; do sleep 0.05; done');
  await until(async () => (await count(stopped)) !== 0);
  await stopped.pause();
  await expect(stopped.remove()).rejects.toMatchObject({
    code: 'ERR_STATE',
    message: expect.stringContaining('paused'),
  });
  expect(await stopped.stop()).toMatchObject({ exitCode: 7 });

  await using killed = await started(counting);
  await killed.pause();
  await killed.kill();
  expect(await killed.wait()).toMatchObject({ signal: 'SIGKILL' });

  const removed = await started(counting);
  await removed.pause();
  await removed.remove({ force: true });
  expect(removed.status).toBe('stopped');
});

withCgroup('what a container uses is told while it is there', async () => {
  await using container = await started('while :; do :; done');
  const first = await container.stats();
  await until(async () => (await container.stats()).cpu.usageUsec > first.cpu.usageUsec + 20_000);
  expect(first.at).toBeInstanceOf(Date);
  if (!without('memory')) expect((await container.stats()).memory?.current).toBeGreaterThan(0);
  if (!without('pids')) expect((await container.stats()).pids?.current).toBeGreaterThan(0);
  await container.remove({ force: true });
  await expect(container.stats()).rejects.toMatchObject({ code: 'ERR_STATE' });
});

withCgroup('limits change while it runs, or are refused for what this host lacks', async () => {
  await using container = await started('sleep 1000');
  const change = container.update({ pids: 50 });
  if (without('pids')) await expect(change).rejects.toMatchObject({ code: 'ERR_UNSUPPORTED' });
  else {
    await change;
    expect((await container.stats()).pids?.limit).toBe(50);
  }
  await expect(container.update({ memory: 'lots' as never })).rejects.toMatchObject({
    code: 'ERR_SPEC',
    issues: [{ path: '/memory', message: expect.any(String) }],
  });
});

withCgroup('the cgroup of a container goes with it', async () => {
  const container = await started('sleep 1000');
  const line = readFileSync(`/proc/${container.pid}/cgroup`, 'utf8').match(/^0::(.*)$/m)?.[1];
  expect(line).toContain(container.id);
  await container.remove({ force: true });
  expect(existsSync(`${cgroup.mount}${line}`)).toBe(false);
});

test('a container of run() has no cgroup where it has no limits, and says what to do', async () => {
  const pausing = run({ host: true, command: ['sleep', '1000'], ready: (container) => container.pause() });
  await expect(pausing).rejects.toMatchObject({
    code: 'ERR_UNSUPPORTED',
    message: expect.stringContaining('no cgroup of its own'),
    hint: expect.stringContaining('Delegate=yes'),
  });
});
