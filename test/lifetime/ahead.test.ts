import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, onTestFinished } from 'vitest';
import type { Container, ContainerOptions } from '../../lib/index.ts';
import { bundleOf } from '../support/attack.ts';
import { expectUnchanged, look } from '../support/look.ts';
import { patienceMs, testIf } from '../support/requires.ts';
import { busyboxRoot } from '../support/rootfs.ts';
import { allThatItIs, options, sh, started, watched } from './copied.ts';
import { Fixture } from './fixture.ts';
import { ahead, statusOf, waiting, waits } from './waiting.ts';

const test = testIf('userns');

const scratch = { mounts: [{ type: 'tmpfs', target: '/tmp' }] };

const nothingWaits = () => expect.poll(waiting, { timeout: patienceMs }).toEqual([]);

test('where commands are executed again and again the next one is made ahead, and one at a time', async () => {
  const seen = watched();
  const container = await started(seen);
  const run = () => container.exec(['echo', 'here']);
  for (let i = 0; i < 5; i++) expect((await ahead(seen, run)).stdout).toBe('here\n');
  await waits(run);
  expect(waiting()).toHaveLength(1);
  expect(seen.ahead - seen.letGo).toBeGreaterThan(0);
});

test('nothing is made ahead where nobody asks again within a second', async () => {
  const seen = watched();
  const container = await started(seen);
  for (let i = 0; i < 5; i++) {
    await container.exec(['true']);
    await sleep(1100);
  }
  expect(seen.ahead).toBe(0);
});

describe('of a command that was made ahead', () => {
  test('output, exit code and signal are those of the first time', async () => {
    const seen = watched();
    const container = await started(seen);
    for (const script of ['echo out; echo err >&2; exit 3', 'kill -TERM $$', 'exit 125']) {
      const run = () => container.exec(sh(script), { reject: false });
      const { durationMs: _, ...first } = await run();
      expect(await ahead(seen, run)).toMatchObject(first);
    }
  });

  test('all that it is and may do is that of the first time', async () => {
    const seen = watched();
    const container = await started(seen);
    for (const more of [{}, { cwd: '/tmp' }]) {
      for (const script of allThatItIs) {
        const run = async () => (await container.exec(sh(script), { env: { OWN: 'command' }, ...more })).stdout;
        const first = await run();
        expect(first).not.toBe('');
        expect(await ahead(seen, run)).toBe(first);
      }
    }
  });

  test('much is read to its end, and one that lasts is waited for', async () => {
    const seen = watched();
    const container = await started(seen);
    let size = 10;
    // The command is the same; what it does is not.
    const run = async () => (await container.exec(sh('head -c $(cat /tmp/size) /dev/zero | tr "\\0" x'))).stdout;
    const resize = (to: number) => {
      size = to;
      return container.exec(sh(`echo ${size} > /tmp/size`), { input: '' });
    };
    await resize(10);
    await ahead(seen, async () => expect(await run()).toBe('x'.repeat(size)));
    await waits(run);
    const before = seen.letGo;
    await resize(1_000_000);
    expect(await run()).toBe('x'.repeat(1_000_000));
    expect(seen.letGo).toBe(before + 1);
  });

  test('one that takes longer than anybody stays with it has its exit code, and can be followed by others', async () => {
    const seen = watched();
    const container = await started(seen, scratch);
    const run = () => container.exec(sh('[ -e /tmp/slow ] && sleep 0.1; echo done; exit 4'), { reject: false });
    await waits(run);
    await container.exec(['touch', '/tmp/slow'], { input: '' });
    const before = seen.letGo;
    expect(await run()).toMatchObject({ stdout: 'done\n', exitCode: 4 });
    expect(seen.letGo).toBe(before + 1);
    expect(await run()).toMatchObject({ stdout: 'done\n', exitCode: 4 });
  });

  test('the working directory is the one that has this name by now', async () => {
    const seen = watched();
    const container = await started(seen, scratch);
    const run = async () => (await container.exec(sh('pwd; ls'), { cwd: '/tmp/work' })).stdout;
    await waits(run);
    await container.exec(sh('mv /tmp/work /tmp/old; mkdir /tmp/work; touch /tmp/work/new'), { input: '' });
    const before = seen.letGo;
    expect(await run()).toBe('/tmp/work\nnew\n');
    expect(seen.letGo).toBe(before + 1);
  });

  test('the working directory that is there no more is made, as the first time, and not before', async () => {
    const seen = watched();
    const container = await started(seen, scratch);
    const run = async () => (await container.exec(sh('pwd; ls; rmdir /tmp/work'), { cwd: '/tmp/work' })).stdout;
    for (let i = 0; i < 8; i++) {
      expect(await run()).toBe('/tmp/work\n');
      await sleep(10);
      expect((await container.exec(['ls', '/tmp'], { input: '' })).stdout).toBe('');
    }
  });

  test('the command is the one that is found by now', async () => {
    const seen = watched();
    const container = await started(seen, scratch);
    const run = () => container.exec(['command', 'here'], { env: { PATH: '/tmp/a:/tmp/b:/bin' } });
    const put = (at: string, what: string) =>
      container.exec(sh(`mkdir -p ${at}; ln -s /bin/${what} ${at}/command`), { input: '' });
    await put('/tmp/b', 'true');
    await waits(async () => expect((await run()).stdout).toBe(''));
    await put('/tmp/a', 'echo');
    const before = seen.letGo;
    expect((await run()).stdout).toBe('here\n');
    expect(seen.letGo).toBe(before + 1);
    await waits(run);
    await container.exec(['rm', '-r', '/tmp/a', '/tmp/b'], { input: '' });
    await expect(run()).rejects.toMatchObject({ code: 'ERR_EXEC', exit: 127 });
  });

  test('nothing is seen in the container while it waits', async () => {
    const seen = watched();
    const container = await started(seen);
    const list = ['sh', '-c', 'echo /proc/[0-9]*'];
    const alone = (await container.exec(list, { input: '' })).stdout;
    await waits(() => container.exec(['true']));
    expect((await container.exec(list, { input: '' })).stdout.split(' ')).toHaveLength(alone.split(' ').length);
  });
});

describe('one that waits', () => {
  test('ends after a second in which nobody asks', async () => {
    const seen = watched();
    const container = await started(seen);
    await waits(() => container.exec(['true']));
    await nothingWaits();
    expect((await container.exec(['echo', 'here'])).stdout).toBe('here\n');
  });

  test('ends with its container, however that ends, and nothing of it is left', async () => {
    const seen = watched();
    const before = look();
    const ends: readonly ((container: Container) => Promise<unknown>)[] = [
      (container) => container.remove({ force: true }),
      (container) => container.stop({ grace: 0 }),
      (container) => container.kill().then(() => container.wait()),
    ];
    for (const end of ends) {
      const container = await started(seen);
      await waits(() => container.exec(['true']));
      await end(container);
      await container.remove({ force: true });
      expect(waiting()).toEqual([]);
    }
    await seen.runtime[Symbol.asyncDispose]();
    await expectUnchanged(before);
  });

  test('ends with its runtime', async () => {
    const seen = watched();
    const container = await started(seen);
    await waits(() => container.exec(['true']));
    await seen.runtime[Symbol.asyncDispose]();
    expect(waiting()).toEqual([]);
  });

  test('that is killed costs nobody a command, and whenever it is killed each is executed once', async () => {
    const seen = watched();
    const container = await started(seen, scratch);
    let executed = 0;
    const run = () => {
      executed++;
      return container.exec(sh('echo line >> /tmp/lines'), { reject: false });
    };
    for (let round = 0; round < 20; round++) {
      // Those that come to nothing are made less and less often.
      await ahead(seen, run);
      const pid = await waits(run);
      if (round % 2 === 0) process.kill(pid, 'SIGKILL');
      const running = run();
      for (const until = performance.now() + round * 0.02; performance.now() < until; );
      if (round % 2 === 1) {
        try {
          process.kill(pid, 'SIGKILL');
        } catch {
          // It has become the command, and that is over.
        }
      }
      expect(await running).toMatchObject({ exitCode: 0 });
    }
    const lines = Number((await container.exec(['wc', '-l', '/tmp/lines'], { input: '' })).stdout.split(' ')[0]);
    expect(lines).toBe(executed);
    await container.remove({ force: true });
    await nothingWaits();
  });

  test('ends with a program that is killed, and keeps none from its end', async () => {
    for (const how of ['stay', 'end']) {
      const fixture = new Fixture('ahead', [how]);
      const [pid] = await fixture.says<number[]>();
      expect(statusOf(pid!)).toMatch(/^Seccomp:\t2$/m);
      if (how === 'stay') fixture.process.kill('SIGKILL');
      else expect(await fixture.ends()).toEqual({ code: 0, signal: null });
      await expect
        .poll(() => statusOf(pid!).replace(/^State:\tZ.*/ms, ''), { timeout: patienceMs })
        .not.toMatch(/State/);
    }
  });
});

describe('where processes are counted, or mounts may be changed, there is none:', () => {
  const never = async (more: ContainerOptions) => {
    const seen = watched();
    const container = await seen.runtime.createContainer(more);
    await container.start();
    for (let i = 0; i < 8; i++, await sleep(5)) await container.exec(['true']);
    expect(seen.asked).toBeGreaterThan(0);
    expect(seen.ahead).toBe(0);
  };

  test('by who may mount', () => never({ ...options, capabilities: { add: ['CAP_SYS_ADMIN'] } }));

  testIf('userns', 'busybox')('those of a user', async () => {
    const root = busyboxRoot();
    onTestFinished(() => root.remove());
    const bundle = bundleOf(root.path, ['/bin/sleep', '1000'], (spec) => {
      spec.process.rlimits = [{ type: 'RLIMIT_NPROC', soft: 10_000, hard: 10_000 }];
    });
    await never({ bundle });
  });

  testIf('userns', 'cgroup2:pids')('those of a container', () => never({ ...options, limits: { pids: 20 } }));
});

testIf('userns', 'cgroup2')('whoever asks what a container uses, or limits that, meets none', async () => {
  const seen = watched();
  const container = await started(seen);
  await waits(() => container.exec(['true']));
  await container.stats();
  expect(waiting()).toEqual([]);
  await waits(() => container.exec(['true']));
  // Not every host has this controller.
  await container.update({ pids: 20 }).catch(() => undefined);
  expect(waiting()).toEqual([]);
  const made = seen.ahead;
  for (let i = 0; i < 8; i++, await sleep(5)) await container.exec(['true']);
  expect(seen.ahead).toBe(made);
});

testIf('userns', 'cgroup2')('a container that is paused has none, and has one again when it goes on', async () => {
  const seen = watched();
  const container = await started(seen);
  await waits(() => container.exec(['true']));
  await container.pause();
  expect(waiting()).toEqual([]);
  await container.resume();
  await waits(() => container.exec(['true']));
});

testIf('root')('one that was made with other rights than the program has now is not let go', async () => {
  const seen = watched();
  const container = await started(seen);
  const run = () => container.exec(['echo', 'here']);
  const pid = await waits(run);
  const before = seen.letGo;
  onTestFinished(() => process.setgid!(0));
  process.setgid!(1);
  expect((await run()).stdout).toBe('here\n');
  expect(seen.letGo).toBe(before);
  expect(waiting()).not.toContain(pid);
});
