import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect } from 'vitest';
import { createContainer, ExitError, RuntsError, run } from '../../lib/index.ts';
import { expectUnchanged, look } from '../support/look.ts';
import { patience, testIf } from '../support/requires.ts';

const test = testIf('userns');

const shell = (script: string) => ({ host: true as const, command: ['sh', '-c', script] });
const errorOf = (work: Promise<unknown>) =>
  work.then(
    () => undefined,
    (error: unknown) => error,
  );

test('a success has the whole result', async () => {
  const result = await run(shell('echo out; echo err >&2'));
  expect(result).toEqual({
    command: ['sh', '-c', 'echo out; echo err >&2'],
    exitCode: 0,
    signal: undefined,
    oomKilled: false,
    stdout: 'out\n',
    stderr: 'err\n',
    durationMs: expect.any(Number),
    failed: false,
    timedOut: false,
    canceled: false,
    truncated: false,
  });
  expect(result.durationMs).toBeGreaterThan(0);
});

test('a failure rejects with an ExitError that has the same result, and says the last words', async () => {
  const error = (await errorOf(run(shell('echo out; echo "no such thing" >&2; exit 3')))) as ExitError;
  expect(error).toBeInstanceOf(ExitError);
  expect(error).toBeInstanceOf(RuntsError);
  expect(RuntsError.is(error)).toBe(true);
  expect(error).toMatchObject({ name: 'ExitError', code: 'ERR_EXIT', exit: 3 });
  expect(error.message).toMatch(/failed with exit code 3\nno such thing$/);
  expect(error.result).toMatchObject({ exitCode: 3, failed: true, stdout: 'out\n', stderr: 'no such thing\n' });
});

test('with reject: false a failure is a result', async () => {
  expect(await run({ ...shell('exit 3'), reject: false })).toMatchObject({ exitCode: 3, failed: true });
});

describe('a timeout', () => {
  test('ends the command and rejects with what there was', async () => {
    const error = (await errorOf(
      run({ ...shell('echo early; exec sleep 1000'), timeout: 1000 * patience }),
    )) as ExitError;
    expect(error).toMatchObject({ code: 'ERR_TIMEOUT', name: 'ExitError' });
    expect(error.result).toMatchObject({ timedOut: true, canceled: false, stdout: 'early\n', signal: 'SIGTERM' });
  });

  test('kills a command that does not end by itself', async () => {
    const script = 'trap "" TERM; while :; do sleep 0.01; done';
    const result = await run({ ...shell(script), timeout: 1000 * patience, reject: false });
    expect(result).toMatchObject({ timedOut: true, failed: true, signal: 'SIGKILL' });
  });

  test('that is not reached changes nothing', async () => {
    expect(await run({ ...shell('true'), timeout: 60_000 })).toMatchObject({ timedOut: false, exitCode: 0 });
  });
});

describe('an AbortSignal', () => {
  test('that was given already makes no container', async () => {
    const reason = new Error('enough');
    const error = await errorOf(run({ ...shell('true'), signal: AbortSignal.abort(reason) }));
    expect(error).toMatchObject({ code: 'ERR_CANCELED', cause: reason });
    expect(await errorOf(createContainer({ ...shell('true'), signal: AbortSignal.abort(reason) }))).toMatchObject({
      code: 'ERR_CANCELED',
    });
  });

  test('at any moment of the making leaves nothing behind', async () => {
    await run(shell('true'));
    const before = look();
    for (let ms = 0; ms < 24; ms++) {
      const controller = new AbortController();
      const running = errorOf(run({ ...shell('exec sleep 1000'), signal: controller.signal }));
      await sleep(ms);
      controller.abort(new Error('enough'));
      expect({ ms, error: await running }).toMatchObject({ ms, error: { code: 'ERR_CANCELED' } });
    }
    await expectUnchanged(before);
  });

  test('while the command runs ends it', async () => {
    const controller = new AbortController();
    const running = errorOf(run({ ...shell('echo early; exec sleep 1000'), signal: controller.signal }));
    await sleep(200 * patience);
    controller.abort();
    const error = (await running) as ExitError;
    expect(error).toMatchObject({ code: 'ERR_CANCELED', name: 'ExitError' });
    expect(error.result).toMatchObject({ canceled: true, timedOut: false, stdout: 'early\n' });
  });

  test('after the end changes nothing', async () => {
    const controller = new AbortController();
    const result = await run({ ...shell('echo x'), signal: controller.signal });
    controller.abort();
    expect(result).toMatchObject({ canceled: false, stdout: 'x\n' });
  });

  test('of a container ends and removes it', async () => {
    // A keeper stays for the next one.
    await (await createContainer(shell('true'))).remove();
    const before = look();
    const controller = new AbortController();
    const container = await createContainer({ ...shell('exec sleep 1000'), signal: controller.signal });
    await container.start();
    controller.abort();
    expect(await container.wait()).toMatchObject({ signal: 'SIGKILL' });
    await expectUnchanged(before);
    await expect(container.start()).rejects.toMatchObject({ code: 'ERR_STATE' });
  });

  test('ends a wait, and only the wait', async () => {
    await using container = await createContainer(shell('exec sleep 1000'));
    await container.start();
    await expect(container.wait({ signal: AbortSignal.timeout(30) })).rejects.toMatchObject({ code: 'ERR_CANCELED' });
    expect(container.status).toBe('running');
  });
});

test('more output than maxOutput is thrown away, and said', async () => {
  const result = await run({ ...shell('head -c 100000 /dev/zero | tr "\\0" x; echo err >&2'), maxOutput: '1k' });
  expect(result).toMatchObject({ stdout: 'x'.repeat(1024), stderr: 'err\n', truncated: true, exitCode: 0 });
  const exact = await run({ ...shell('printf xxxx'), maxOutput: 4 });
  expect(exact).toMatchObject({ stdout: 'xxxx', truncated: false });
});

test('input goes to the command, as text and as bytes', async () => {
  expect((await run({ ...shell('cat'), input: 'häl\nlo' })).stdout).toBe('häl\nlo');
  expect((await run({ ...shell('od -An -tx1'), input: new Uint8Array([0, 255, 10]) })).stdout).toBe(' 00 ff 0a\n');
  expect((await run({ ...shell('wc -c'), input: '' })).stdout).toBe('0\n');
});

describe('bad options', () => {
  const issuesOf = async (options: unknown) => {
    const error = (await errorOf(run(options as never))) as RuntsError;
    expect(error).toMatchObject({ code: 'ERR_SPEC' });
    return Object.fromEntries((error.issues ?? []).map(({ path, message }) => [path, message]));
  };

  test('are all told at once, before anything is touched', async () => {
    const before = look();
    const issues = await issuesOf({
      host: true,
      comand: ['x'],
      cwd: 'relative',
      timeout: -1,
      limits: { memory: 'much' },
    });
    expect(Object.keys(issues).sort()).toEqual(['/comand', '/cwd', '/limits/memory', '/timeout']);
    expect(issues['/comand']).toContain('command');
    await expectUnchanged(before);
  });

  test('two sources, and none', async () => {
    expect(await issuesOf({ host: true, rootfs: '/x', command: ['true'] })).toEqual({
      '': expect.stringContaining('host'),
    });
    expect(await issuesOf({ command: ['true'] })).toEqual({ '': expect.stringContaining('none') });
  });

  test('a container without a command', async () => {
    expect(await issuesOf({ host: true })).toEqual({ '/command': expect.stringContaining('no command') });
  });

  test('a command that is not there is 127, one that is not executable 126', async () => {
    const before = look();
    expect(await errorOf(run({ host: true, command: ['no-such-command'] }))).toMatchObject({
      code: 'ERR_EXEC',
      exit: 127,
    });
    expect(await errorOf(run({ host: true, command: ['/etc/passwd'] }))).toMatchObject({ code: 'ERR_EXEC', exit: 126 });
    expect(await errorOf(run({ host: true, command: ['/usr'] }))).toMatchObject({ code: 'ERR_EXEC', exit: 126 });
    expect(await errorOf(createContainer({ host: true, command: ['/no/such'] }))).toMatchObject({ exit: 127 });
    await expectUnchanged(before);
  });
});

test('an ExitError carries the exit code that a shell would show', async () => {
  const exit = (script: string) => run({ host: true, command: ['sh', '-c', script] }).catch((error) => error.exit);
  expect([await exit('exit 3'), await exit('kill -TERM $$'), await exit('kill -KILL $$')]).toEqual([3, 143, 137]);
});
