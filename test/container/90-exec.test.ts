import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { type CommonOptions, type Container, createContainer, ExitError } from '../../lib/index.ts';
import { isAlive, until } from '../support/look.ts';
import { can, testIf } from '../support/requires.ts';
import { fields } from './inside.ts';

const test = testIf('userns');

const start = async (options: Partial<CommonOptions> = {}): Promise<Container> => {
  const container = await createContainer({ host: true, command: ['sleep', '1000'], ...options });
  return container.start();
};

let shared: Container;
beforeAll(async () => {
  if (can('userns') === true) shared = await start({ env: { GIVEN: 'by the container' }, hostname: 'inside' });
});
afterAll(() => shared?.remove({ force: true }));

const sh = (script: string) => ['sh', '-c', script];

test('commands that are canceled at any moment leave no process behind, and the container can go', async () => {
  const container = await start();
  for (let i = 0; i < 40; i++) {
    const controller = new AbortController();
    const command = container.exec(['sleep', '1000'], { signal: controller.signal });
    // From before there is an init until the command runs.
    setTimeout(() => controller.abort(), i / 10);
    await expect(command).rejects.toMatchObject({ code: 'ERR_CANCELED' });
  }
  expect((await container.exec(sh('ps -o comm | grep -c sleep'))).stdout.trim()).toBe('1');
  // Its PID namespace ends when the last process of it has been collected.
  await container.remove({ force: true });
});

describe.each([true, false])('in a container with init: %s', (init) => {
  test('a command runs beside the first, in the same namespaces, and its output and exit code come back', async () => {
    await using container = await start({ init, hostname: 'inside' });
    const result = await container.exec(sh('hostname; echo error >&2; exit 3'), { reject: false });
    expect(result).toMatchObject({
      exitCode: 3,
      signal: undefined,
      stdout: 'inside\n',
      stderr: 'error\n',
      failed: true,
    });
    const namespaces = sh(
      `for n in mnt pid net ipc uts user cgroup; do readlink /proc/${init ? 2 : 1}/ns/$n /proc/self/ns/$n; done`,
    );
    const links = (await container.exec(namespaces)).stdout.trim().split('\n');
    expect(links.filter((_, i) => i % 2 === 0)).toEqual(links.filter((_, i) => i % 2 === 1));
  });

  test('its end is not the end of the container, and the end of the container is its end', async () => {
    const container = await start({ init });
    await container.exec(['true']);
    expect(container.status).toBe('running');
    const process = await container.spawn(['sleep', '1000']);
    await container.remove({ force: true });
    expect(await process.result).toMatchObject({ signal: 'SIGKILL' });
    expect(isAlive(process.pid)).toBe(false);
  });
});

test('it is confined as the container is', async () => {
  const names = ['CapEff', 'CapBnd', 'CapInh', 'CapAmb', 'NoNewPrivs', 'Seccomp', 'Seccomp_filters'];
  const status = async (pid: string) => fields((await shared.exec(['cat', `/proc/${pid}/status`])).stdout);
  const [first, ours] = [await status('2'), await status('self')];
  expect(names.map((name) => ours[name])).toEqual(names.map((name) => first[name]));
  // The fourth is that of ls itself.
  expect((await shared.exec(['ls', '/proc/self/fd'])).stdout).toBe('0\n1\n2\n3\n');
});

test('the environment is that of the container, and what is added', async () => {
  const { stdout } = await shared.exec(sh('echo $GIVEN, $ADDED, $HOME; pwd'), { env: { ADDED: 'later' }, cwd: '/usr' });
  expect(stdout).toBe('by the container, later, /root\n/usr\n');
});

test('input is given, and ends', async () => {
  expect((await shared.exec(['wc', '-c'], { input: 'x'.repeat(300_000) })).stdout).toBe('300000\n');
  expect((await shared.exec(['cat'])).stdout).toBe('');
  expect((await shared.exec(['true'], { input: 'x'.repeat(300_000) })).exitCode).toBe(0);
});

test('what fails rejects with all that is known, and what is not there says so', async () => {
  await expect(shared.exec(sh('echo why >&2; exit 9'))).rejects.toSatisfy(
    (error) => error instanceof ExitError && error.result.exitCode === 9 && error.message.includes('why'),
  );
  await expect(shared.exec(['no-such-program'])).rejects.toMatchObject({ code: 'ERR_EXEC' });
  await expect(shared.exec([])).rejects.toMatchObject({ code: 'ERR_SPEC' });
  await expect(shared.exec(['true'], { workdir: '/' } as object)).rejects.toThrow(/cwd/);
  await expect(shared.exec(['true'], { user: 'nobody-of-this-name' })).rejects.toThrow(/there is no user/);
  expect((await shared.exec(['true'])).exitCode).toBe(0);
});

test('streams are handed over', async () => {
  const process = await shared.spawn(['cat']);
  process.stdin.write('there and ');
  process.stdin.end('back');
  expect(await text(process.stdout)).toBe('there and back');
  expect(await process.result).toMatchObject({ exitCode: 0, stdout: '', failed: false });
  expect(process.kill()).toBe(false);
});

test('a reader sets the pace', async () => {
  const process = await shared.spawn(sh('dd if=/dev/zero bs=1M count=64 2>/dev/null'));
  await sleep(200);
  expect(process.stdout.readableLength).toBeLessThan(1024 * 1024);
  let bytes = 0;
  for await (const chunk of process.stdout) bytes += (chunk as Buffer).length;
  expect(bytes).toBe(64 * 1024 * 1024);
});

test('a signal is sent to it', async () => {
  const process = await shared.spawn(sh('trap "exit 7" USR1; echo up; while :; do sleep 0.01; done'));
  await new Promise((resolve) => process.stdout.once('data', resolve));
  expect(process.kill('SIGUSR1')).toBe(true);
  expect(await process.result).toMatchObject({ exitCode: 7 });
  expect(() => process.kill('SIGNOTHING')).toThrow(/unknown signal/);
});

test('with a terminal it has one, of the size that is asked for', async () => {
  const process = await shared.spawn(sh('trap "stty size; exit" WINCH; tty; stty size; while :; do sleep 0.01; done'), {
    tty: { columns: 91, rows: 17 },
  });
  let seen = '';
  process.stdout.on('data', (chunk) => {
    seen += chunk;
  });
  expect(await until(() => seen.includes('17 91'), 10_000)).toBe(true);
  process.resize({ columns: 100, rows: 30 });
  expect(await process.result).toMatchObject({ exitCode: 0 });
  expect(seen).toMatch(/^\/dev\/pts\/\d+\r\n17 91\r\n30 100\r\n$/);
});

test('a timeout ends it, and what it left behind holds nobody up', async () => {
  await expect(shared.exec(sh('sleep 1000 & sleep 1000'), { timeout: 300 })).rejects.toMatchObject({
    code: 'ERR_TIMEOUT',
  });
  const controller = new AbortController();
  const running = shared.exec(['sleep', '1000'], { signal: controller.signal });
  setTimeout(() => controller.abort(), 100);
  await expect(running).rejects.toMatchObject({ code: 'ERR_CANCELED' });
  await expect(shared.exec(['true'], { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'ERR_CANCELED' });
});

test('output is bounded', async () => {
  const result = await shared.exec(sh('head -c 100000 /dev/zero'), { maxOutput: 1000 });
  expect(result).toMatchObject({ truncated: true, exitCode: 0 });
  expect(result.stdout).toHaveLength(1000);
});

test('there is no exec in what does not run', async () => {
  const container = await createContainer({ host: true, command: ['true'] });
  await expect(container.exec(['true'])).rejects.toMatchObject({ code: 'ERR_STATE' });
  await container.start();
  await container.wait();
  await expect(container.exec(['true'])).rejects.toMatchObject({ code: 'ERR_STATE' });
  await container.remove();
});

testIf('userns', 'subuids')(
  'another user has its ids, its home and no capabilities; privileged root has all',
  async () => {
    const { stdout } = await shared.exec(sh('id -u; id -g; echo $HOME; grep CapEff /proc/self/status'), {
      user: 'daemon',
    });
    expect(stdout).toBe('1\n1\n/usr/sbin\nCapEff:\t0000000000000000\n');
    const all = await shared.exec(sh('grep CapEff /proc/self/status'), { privileged: true });
    expect(BigInt(`0x${all.stdout.split(/\s+/)[1]}`)).toBeGreaterThanOrEqual(0x1ff_ffff_ffffn);
  },
);

test('many at once leave no descriptor behind', async () => {
  const { readdirSync } = await import('node:fs');
  const open = () => readdirSync('/proc/self/fd').length;
  const twenty = () => Promise.all(Array.from({ length: 20 }, (_, i) => shared.exec(['echo', `${i}`])));
  await twenty();
  const before = open();
  const results = await twenty();
  expect(results.map(({ stdout }) => stdout)).toEqual(Array.from({ length: 20 }, (_, i) => `${i}\n`));
  expect(await until(() => open() <= before, 10_000)).toBe(true);
});

test('a command in a container that goes away is told so, or ends with it', async () => {
  for (let ms = 20; ms < 60; ms += 2) {
    const container = await createContainer({ host: true, command: ['sleep', `0.0${ms}`] });
    await container.start();
    for (let ended = false; !ended; ) {
      const outcome = await container.exec(['true'], { reject: false }).catch((error: unknown) => error);
      ended = outcome instanceof Error;
      if (ended) expect(outcome).toMatchObject({ code: 'ERR_STATE' });
    }
    await container.remove();
  }
});
