import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect } from 'vitest';
import type { ExecOptions } from '../../lib/index.ts';
import { testIf } from '../support/requires.ts';
import { sh, started, watched } from './copied.ts';
import { ahead, waiting, waits } from './waiting.ts';

const test = testIf('userns');

const scratch = { mounts: [{ type: 'tmpfs', target: '/tmp' }] };

describe('of the commands that what waits can become', () => {
  test('another one is as well, with an environment and a working directory of its own', async () => {
    const seen = watched();
    const container = await started(seen);
    let asked = 0;
    const run = async () => {
      const env = { NUMBER: String(asked++) };
      const { stdout } = await container.exec(sh('echo $NUMBER $OWN $PATH; pwd'), { env, cwd: '/tmp' });
      return stdout.replace(/^\d+ /, '');
    };
    const first = await run();
    expect(first).toMatch(/^\/\S+\n\/tmp\n$/);
    for (let i = 0; i < 5; i++) expect(await ahead(seen, run)).toBe(first);
    const before = seen.letGo;
    await waits(run);
    expect((await container.exec(['printf', '%s.', 'a', '', '\u00e4 b'])).stdout).toBe('a..\u00e4 b.');
    expect(seen.letGo).toBeGreaterThan(before);
  });

  test('one that does not exist is told of as ever, and so is what cannot be executed', async () => {
    const seen = watched();
    const container = await started(seen, scratch);
    const run = () => container.exec(['true']);
    const failing: readonly (readonly [string[], ExecOptions, object])[] = [
      [['missing'], {}, { code: 'ERR_EXEC', exit: 127 }],
      [['/etc'], {}, { code: 'ERR_EXEC', exit: 126 }],
      [['/proc/self/exe'], {}, { code: 'ERR_EXEC', exit: 127 }],
      [['anything'], { env: { PATH: 'relative' } }, { code: 'ERR_EXEC', exit: 127 }],
      [['echo', 'nul\0'], {}, { code: 'ERR_SPEC' }],
      [['true'], { cwd: 'relative' }, { code: 'ERR_SPEC' }],
    ];
    for (const [command, options, error] of failing) {
      const before = await container.exec(command, { ...options, input: '' }).catch((caught: unknown) => caught);
      expect(before).toMatchObject(error);
      await waits(run);
      const after = await container.exec(command, options).catch((caught: unknown) => caught);
      expect(after).toMatchObject({ ...error, message: (before as Error).message });
    }
  });

  test('one that does not exist costs the others nothing', async () => {
    const seen = watched();
    const container = await started(seen);
    const run = () => container.exec(['true']);
    for (let i = 0; i < 6; i++) {
      await waits(run);
      await expect(container.exec(['missing'])).rejects.toMatchObject({ exit: 127 });
    }
    let asked = 0;
    await waits(() => {
      asked++;
      return run();
    });
    expect(asked).toBeLessThan(5);
  });

  test('one with a name that is below the working directory is the one there', async () => {
    const seen = watched();
    const container = await started(seen, scratch);
    await container.exec(sh('mkdir -p /tmp/a/bin; ln -s /bin/echo /tmp/a/bin/command'), { input: '' });
    for (const name of ['./bin/command', 'bin/command']) {
      const run = async () => (await container.exec([name, 'here'], { cwd: '/tmp/a' })).stdout;
      expect(await ahead(seen, run)).toBe('here\n');
    }
  });

  test('one that may do more than the others is not one of them, and ends what waits, which it could leave in another root', async () => {
    const seen = watched();
    const container = await started(seen);
    const capabilities = async (options: ExecOptions = {}) =>
      (await container.exec(['grep', 'CapEff', '/proc/self/status'], options)).stdout;
    const usual = await capabilities();
    await waits(capabilities);
    const before = seen.letGo;
    const [first, second] = [capabilities({ privileged: true }), container.spawn(['cat'], { privileged: true })];
    expect(await first).not.toBe(usual);
    const spawned = await second;
    expect(waiting()).toEqual([]);
    spawned.kill('SIGKILL');
    await spawned.result;
    for (let i = 0; i < 8; i++, await sleep(5)) expect(await capabilities()).toBe(usual);
    expect(seen.letGo).toBe(before);
    expect(waiting()).toEqual([]);
  });
});
