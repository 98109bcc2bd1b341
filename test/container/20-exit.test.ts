import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect } from 'vitest';
import { createContainer, run } from '../../lib/index.ts';
import { isAlive, until } from '../support/look.ts';
import { testIf } from '../support/requires.ts';
import { inside } from './inside.ts';

const test = testIf('userns');

const shell = (script: string, init = true) => ({ host: true as const, command: ['sh', '-c', script], init });
const end = (script: string, init = true) => run({ ...shell(script, init), reject: false });

/** Started, and past its first line of output. */
async function up(script: string, init = true) {
  const container = await createContainer(shell(script, init));
  await container.start();
  for await (const line of container.logs({ follow: true })) if (line.text === 'up') break;
  return container;
}

describe.each([true, false])('with init: %s', (init) => {
  test('exit codes come back as they are', async () => {
    for (const code of [0, 1, 2, 7, 64, 125, 126, 127, 128, 137, 254, 255]) {
      expect(await end(`exit ${code}`, init)).toMatchObject({ exitCode: code, signal: undefined, failed: code !== 0 });
    }
  });

  test('a container that is killed ends by SIGKILL', async () => {
    await using container = await up('echo up; sleep 1000', init);
    await container.kill();
    expect(await container.wait()).toEqual({ exitCode: undefined, signal: 'SIGKILL', oomKilled: false });
    expect(container.status).toBe('stopped');
  });

  test('signals are forwarded to the command', async () => {
    await using container = await up('trap "exit 33" USR1; echo up; while :; do sleep 0.01; done', init);
    await container.kill('SIGUSR1');
    expect(await container.wait()).toMatchObject({ exitCode: 33 });
  });

  test('stop asks by SIGTERM', async () => {
    await using container = await up('trap "exit 4" TERM; echo up; while :; do sleep 0.01; done', init);
    expect(await container.stop()).toMatchObject({ exitCode: 4 });
    expect(await container.stop()).toMatchObject({ exitCode: 4 });
  });

  test('a command that ignores SIGTERM is killed after the grace', async () => {
    await using container = await up('trap "" TERM; echo up; while :; do sleep 0.01; done', init);
    const began = performance.now();
    expect(await container.stop({ grace: 150 })).toMatchObject({ signal: 'SIGKILL' });
    expect(performance.now() - began).toBeGreaterThan(140);
  });

  test('what the command left running dies with it', async () => {
    await using container = await createContainer(shell('sleep 1000 & (setsid sleep 1000 &) ; exit 5', init));
    await container.start();
    const { pid } = container;
    expect(await container.wait()).toMatchObject({ exitCode: 5 });
    expect(await until(() => !isAlive(pid as number), 1000)).toBe(true);
  });
});

test('each signal that ends a command is named', async () => {
  for (const name of [
    'HUP',
    'INT',
    'QUIT',
    'ILL',
    'ABRT',
    'FPE',
    'KILL',
    'SEGV',
    'PIPE',
    'ALRM',
    'TERM',
    'USR1',
    'USR2',
  ]) {
    const result = await end(`ulimit -c 0; kill -${name} $$`);
    expect(result).toMatchObject({ exitCode: undefined, signal: `SIG${name}`, failed: true });
  }
});

test('orphans are reaped', async () => {
  const script = `for i in 1 2 3 4 5; do (true & true) ; done; (sleep 0.05 &); sleep 0.2; cat /proc/[0-9]*/stat | grep -c ") Z "`;
  expect(await inside(script, { reject: false })).toBe('0\n');
});

test('stopSignal is what stop sends', async () => {
  await using container = await createContainer({
    ...shell('trap "exit 9" INT; trap "" TERM; echo up; while :; do sleep 0.01; done'),
    stopSignal: 'SIGINT',
  });
  await container.start();
  for await (const line of container.logs({ follow: true })) if (line.text === 'up') break;
  expect(await container.stop({ grace: 5000 })).toMatchObject({ exitCode: 9 });
});

test('a container that has stopped takes no signal, and one that was not started cannot be stopped', async () => {
  await using container = await createContainer(shell('true'));
  await expect(container.stop()).rejects.toMatchObject({ code: 'ERR_STATE' });
  await expect(container.wait()).rejects.toMatchObject({ code: 'ERR_STATE' });
  await container.start();
  await container.wait();
  await expect(container.kill()).rejects.toMatchObject({ code: 'ERR_STATE' });
  await expect(container.start()).rejects.toMatchObject({ code: 'ERR_STATE' });
  await expect(container.kill('SIGNOPE')).rejects.toMatchObject({ code: 'ERR_SPEC' });
});

test('a stopped process goes on and its end is seen', async () => {
  await using container = await up('echo up; kill -STOP $$; exit 6');
  await container.kill('SIGCONT');
  let exit = await Promise.race([container.wait(), sleep(300, undefined)]);
  // SIGCONT may come before the SIGSTOP: then once more.
  if (exit === undefined) await container.kill('SIGCONT');
  exit ??= await container.wait();
  expect(exit).toMatchObject({ exitCode: 6 });
});
