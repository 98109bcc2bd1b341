import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, onTestFinished } from 'vitest';
import type { Container } from '../../lib/index.ts';
import { Runtime } from '../../lib/runtime.ts';
import { descendants, expectUnchanged, isAlive, look } from '../support/look.ts';
import { patience, patienceMs, testIf } from '../support/requires.ts';
import { allThatItIs, byCopy, options, sh, started, watched } from './copied.ts';
import { Fixture } from './fixture.ts';

const test = testIf('userns');

test('a command is executed directly the first time, and then by copies of one zygote', async () => {
  const seen = watched();
  const container = await started(seen);
  const run = () => container.exec(['echo', 'here']);
  expect((await run()).stdout).toBe('here\n');
  expect([seen.asked, seen.direct]).toEqual([0, 0]);
  expect((await run()).stdout).toBe('here\n');
  expect([seen.asked, seen.direct]).toEqual([0, 1]);
  await byCopy(seen, run);
  for (let i = 0; i < 10; i++) expect((await run()).stdout).toBe('here\n');
  // One ends where the machine stands still for a second.
  expect(new Set(seen.by).size).toBeLessThan(seen.by.length);
});

describe('of a command that a copy executes', () => {
  test('output and exit code are those of the first time', async () => {
    const seen = watched();
    const container = await started(seen);
    const run = () => container.exec(sh('echo out; echo err >&2; exit 3'), { reject: false });
    const { durationMs: _, ...first } = await run();
    expect(first).toMatchObject({ stdout: 'out\n', stderr: 'err\n', exitCode: 3, failed: true });
    const { result } = await byCopy(seen, run);
    expect(result).toMatchObject(first);
  });

  test('the signal that ended it is that of the first time', async () => {
    const seen = watched();
    const container = await started(seen);
    const run = () => container.exec(sh('kill -TERM $$'), { reject: false });
    const { durationMs: _, ...first } = await run();
    expect(first).toMatchObject({ exitCode: undefined, signal: 'SIGTERM' });
    expect((await byCopy(seen, run)).result).toMatchObject(first);
  });

  test('it is executed no more when it is not there any more', async () => {
    const seen = watched();
    const container = await started(seen, { mounts: [{ type: 'tmpfs', target: '/tmp' }] });
    const run = () => container.exec(['/tmp/command']);
    await container.exec(['ln', '-s', '/bin/true', '/tmp/command']);
    await byCopy(seen, run);
    await container.exec(['rm', '/tmp/command']);
    for (let i = 0; i < 2; i++) await expect(run()).rejects.toMatchObject({ code: 'ERR_EXEC', exit: 127 });
  });

  test('all that it is and may do is that of the first time', async () => {
    const seen = watched();
    const container = await started(seen);
    const run = async () =>
      (await container.exec(sh(allThatItIs.join('\n')), { env: { OWN: 'command' }, cwd: '/tmp' })).stdout;
    const first = await run();
    expect(first).toContain('OWN=command');
    expect((await byCopy(seen, run)).result).toBe(first);
  });

  test('nothing is seen in the next', async () => {
    const seen = watched();
    const container = await started(seen);
    const secret = () =>
      container.exec(sh('export MORE=secret; ulimit -c 0; umask 0777; cd /tmp; : $SECRET'), {
        env: { SECRET: 'secret' },
      });
    const next = async () =>
      (await container.exec(sh('env | sort; umask; pwd; ulimit -c; tr "\\0" "\\n" < /proc/self/environ'))).stdout;
    const first = await next();
    await byCopy(seen, secret);
    expect((await byCopy(seen, next)).result).toBe(first);
    expect(first).not.toContain('secret');
  });

  test('all is read of one that takes longer than anybody stays with it', async () => {
    const seen = watched();
    const container = await started(seen);
    const run = async () => (await container.exec(sh('echo a; sleep 0.05; echo b; sleep 0.05; echo c'))).stdout;
    await byCopy(seen, async () => expect(await run()).toBe('a\nb\nc\n'));
    for (let i = 0; i < 3; i++) expect(await run()).toBe('a\nb\nc\n');
  });

  test('a child that goes on writing is waited for, as the first time', async () => {
    const seen = watched();
    const container = await started(seen);
    const run = async () => (await container.exec(sh('(sleep 0.2; echo late) & echo early'))).stdout;
    const first = await run();
    expect(first).toBe('early\nlate\n');
    expect((await byCopy(seen, run)).result).toBe(first);
  });

  test('it can run out of time, and nothing of it is left', async () => {
    const seen = watched();
    const container = await started(seen);
    await byCopy(seen, () => container.exec(['true']));
    const run = () => container.exec(['sleep', '1000'], { timeout: 200 * patience, reject: false });
    expect(await run()).toMatchObject({ timedOut: true });
    const before = withoutZygotes(descendants());
    expect((await byCopy(seen, run)).result).toMatchObject({ timedOut: true, failed: true });
    await expect.poll(() => withoutZygotes(descendants()), { timeout: patienceMs }).toEqual(before);
  });

  test('much is read to its end', async () => {
    const seen = watched();
    const container = await started(seen);
    const run = async () => (await container.exec(sh('head -c 1000000 /dev/zero | tr "\\0" x'))).stdout;
    await byCopy(seen, async () => expect(await run()).toBe('x'.repeat(1_000_000)));
  });
});

/** They end when they like. A zygote of copies is in our own namespaces, and has no name of its own. */
const withoutZygotes = (pids: readonly number[]) =>
  pids.filter((pid) => {
    const isInit = nameOf(pid) === 'runts-init';
    return !isInit || (fieldOf(pid, 'NSpid')?.split('\t').length ?? 0) > 1;
  });
const fieldOf = (pid: number, field: string) => {
  try {
    return new RegExp(`^${field}:\\t(.*)$`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  } catch {
    return undefined;
  }
};
const nameOf = (pid: number) => fieldOf(pid, 'Name');
const isGone = (pid: number) => !existsSync(`/proc/${pid}`) || !isAlive(pid);

describe('a zygote of copies', () => {
  /** Writes a line more each time, in the container. */
  const counts = sh('echo line >> /tmp/lines-of-copies');
  const counting = (container: Container) => {
    let executed = 0;
    const run = async () => {
      executed++;
      await container.exec(counts);
    };
    return { run, times: () => executed };
  };
  const lines = async (container: Container) =>
    Number((await container.exec(sh('cat /tmp/lines-of-copies 2>/dev/null | wc -l'), { input: '' })).stdout);
  const volumes = [{ type: 'tmpfs', target: '/tmp' }];

  test('that is killed is replaced, and each command is executed once', async () => {
    const seen = watched();
    const container = await started(seen, { mounts: volumes });
    const { run, times } = counting(container);
    const { zygote } = await byCopy(seen, run);
    process.kill(zygote.pid, 'SIGKILL');
    await run();
    const next = await byCopy(seen, run);
    expect(next.zygote).not.toBe(zygote);
    expect(await lines(container)).toBe(times());
    await expect.poll(() => descendants(), { timeout: patienceMs }).not.toContain(zygote.pid);
  });

  test('that is killed while requests wait costs none of them, and does none twice', async () => {
    const seen = watched();
    const container = await started(seen, { mounts: volumes });
    const { run, times } = counting(container);
    const { zygote } = await byCopy(seen, run);
    process.kill(zygote.pid, 'SIGSTOP');
    const { asked } = seen;
    const all = Array.from({ length: 6 }, run);
    await expect.poll(() => seen.asked, { timeout: patienceMs }).toBe(asked + 6);
    process.kill(zygote.pid, 'SIGKILL');
    await Promise.all(all);
    expect(await lines(container)).toBe(times());
  });

  test('whenever it is killed, each command is executed once', async () => {
    const seen = watched();
    const container = await started(seen, { mounts: volumes });
    const { run, times } = counting(container);
    for (let round = 0; round < 15; round++) {
      const { zygote } = await byCopy(seen, run);
      const all = Array.from({ length: 4 }, run);
      for (const until = performance.now() + round * 0.1; performance.now() < until; );
      process.kill(zygote.pid, 'SIGKILL');
      await Promise.all(all);
    }
    expect(await lines(container)).toBe(times());
    await container.remove({ force: true });
    await expect.poll(() => withoutZygotes(descendants()), { timeout: patienceMs }).toEqual([]);
  });

  test('ends with its runtime', async () => {
    const seen = watched();
    const container = await started(seen);
    const { zygote } = await byCopy(seen, () => container.exec(['true']));
    await seen.runtime[Symbol.asyncDispose]();
    expect(isGone(zygote.pid)).toBe(true);
    expect(descendants()).not.toContain(zygote.pid);
  });

  test('that ended with the last runtime is no more asked by the next one of the same host', async () => {
    const seen = watched();
    const container = await started(seen);
    await byCopy(seen, () => container.exec(['true']));
    await seen.runtime[Symbol.asyncDispose]();
    const other = new Runtime(seen.host);
    onTestFinished(() => other[Symbol.asyncDispose]());
    const { asked, direct } = seen;
    const next = await other.createContainer(options);
    await next.start();
    for (let i = 0; i < 2; i++) await next.exec(['true']);
    expect([seen.asked, seen.direct]).toEqual([asked, direct + 1]);
    await byCopy({ ...seen, runtime: other }, () => next.exec(['true']));
  });

  test('ends with a program that is killed', async () => {
    const fixture = new Fixture('copies', ['stay']);
    const [pid] = await fixture.says<number[]>();
    fixture.process.kill('SIGKILL');
    await expect.poll(() => isGone(pid!), { timeout: patienceMs }).toBe(true);
  });

  test('keeps no program from its end', async () => {
    const fixture = new Fixture('copies');
    const [pid] = await fixture.says<number[]>();
    expect(await fixture.ends()).toEqual({ code: 0, signal: null });
    await expect.poll(() => isGone(pid!), { timeout: patienceMs }).toBe(true);
  });

  test('ends by itself when nobody asks, is collected, and is replaced when somebody does', async () => {
    const seen = watched();
    const container = await started(seen);
    const run = () => container.exec(['echo', 'here']);
    const { zygote } = await byCopy(seen, run);
    await expect.poll(() => descendants(), { timeout: patienceMs }).not.toContain(zygote.pid);
    expect((await run()).stdout).toBe('here\n');
    const next = await byCopy(seen, run);
    expect(next.zygote).not.toBe(zygote);
    expect(next.result.stdout).toBe('here\n');
  });

  test('that cannot be started costs nobody a command', async () => {
    // It is the init in our own namespaces that has no errand.
    const isZygote = ({ flags, errand }: { flags: number; errand?: unknown }) => flags === 0 && errand === undefined;
    let refused = 0;
    let refuses = false;
    const seen = watched((host) => ({
      ...host,
      processes: {
        ...host.processes,
        spawn(request) {
          if (!refuses || !isZygote(request)) return host.processes.spawn(request);
          refused++;
          return Promise.reject(Object.assign(new Error('EAGAIN'), { code: 'EAGAIN' }));
        },
      },
    }));
    const container = await started(seen);
    refuses = true;
    for (let i = 0; i < 5; i++) expect((await container.exec(['echo', 'here'])).stdout).toBe('here\n');
    expect([seen.asked, seen.direct, refused]).toEqual([0, 4, 1]);
  });
});

test('a command that may have begun is not executed once more: why it is not known is said', async () => {
  let answers = true;
  const seen = watched((host) => ({
    ...host,
    processes: {
      ...host.processes,
      async forkBy(zygote, request) {
        const session = await host.processes.forkBy(zygote, request);
        if (answers || session.over === undefined) return session;
        throw Object.assign(new Error('ETIMEDOUT: connection timed out, poll'), { code: 'ETIMEDOUT' });
      },
    },
  }));
  const container = await started(seen);
  const run = () => container.exec(sh('echo once >> /tmp/times'));
  const times = async () => (await container.exec(['cat', '/tmp/times'])).stdout.split('\n').length - 1;
  let error: unknown;
  let ran = 0;
  for (const giveUp = Date.now() + patienceMs; error === undefined && Date.now() < giveUp; ran++) {
    answers = ran < 3;
    error = await run()
      .catch((why: unknown) => why as Error)
      .then((why) => (why instanceof Error ? why : undefined));
    answers = true;
  }
  expect(error).toMatchObject({ code: 'ERR_SETUP', message: expect.stringContaining('start the command once more') });
  expect(await times()).toBe(ran);
});

test('many commands at once are all right, and leave nothing', async () => {
  const seen = watched();
  const container = await started(seen);
  const commands = Array.from({ length: 4 }, (_, i) => sh(`echo out${i}; echo err${i} >&2; exit ${i}`));
  const run = async (i: number) => {
    const { stdout, stderr, exitCode } = await container.exec(commands[i % 4]!, { reject: false });
    expect([stdout, stderr, exitCode]).toEqual([`out${i % 4}\n`, `err${i % 4}\n`, i % 4]);
  };
  for (let i = 0; i < 4; i++) await byCopy(seen, () => run(i));
  const before = withoutZygotes(descendants());
  for (let round = 0; round < 5; round++) await Promise.all(Array.from({ length: 16 }, (_, i) => run(i)));
  expect(seen.by.length).toBeGreaterThan(4);
  await expect.poll(() => withoutZygotes(descendants()), { timeout: patienceMs }).toEqual(before);
});

test('a container that is removed while commands run leaves nothing', async () => {
  const seen = watched();
  const before = look();
  for (let round = 0; round < 10; round++) {
    const container = await started(seen);
    const run = () => container.exec(['true'], { reject: false });
    await byCopy(seen, run);
    const all = Array.from({ length: 8 }, () => run().catch((error: unknown) => error));
    for (const until = performance.now() + round * 0.3; performance.now() < until; );
    await container.remove({ force: true });
    for (const end of await Promise.all(all)) {
      // Executed, killed with it, or too late.
      if (end instanceof Error) expect(end).toMatchObject({ code: 'ERR_STATE' });
      else expect(end).toSatisfy(({ exitCode, signal }) => exitCode === 0 || signal === 'SIGKILL');
    }
  }
  await seen.runtime[Symbol.asyncDispose]();
  await expectUnchanged(before);
});
