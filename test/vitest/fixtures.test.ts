import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test as base, describe, expect, expectTypeOf, onTestFinished, vi } from 'vitest';
import { type Container, createRuntime, ready } from '../../lib/index.ts';
import { withContainers } from '../../lib/vitest.ts';
import { busyboxImage } from '../support/busybox-image.ts';
import { removeData } from '../support/remove-data.ts';
import { can, testIf } from '../support/requires.ts';

vi.setConfig({ testTimeout: 120_000 });

const box = { host: true, command: ['sh', '-c', 'echo up; exec sleep 1000'], ready: ready.log('up') } as const;

describe.runIf(can('userns') === true)('a container for each test', () => {
  const seen: Container[] = [];
  const test = withContainers({ one: box, two: box });

  test('is ready when the test begins', async ({ one, two }) => {
    expectTypeOf(one).toEqualTypeOf<Container>();
    seen.push(one, two);
    expect([one.status, two.status]).toEqual(['running', 'running']);
    expect(one.name).not.toBe(two.name);
    expect((await one.exec(['sh', '-c', 'echo 1 > /tmp/mark; cat /tmp/mark'])).stdout).toBe('1\n');
  });

  test('is removed after it, and the next test has another one', async ({ one }) => {
    expect(seen.map(({ status }) => status)).toEqual(['stopped', 'stopped']);
    expect((await one.exec(['ls', '/tmp'])).stdout).toBe('');
  });

  // @ts-expect-error: there is no container of that name.
  test('is known by its name to the compiler', ({ three }) => expect(three).toBeUndefined());

  const more = withContainers({ one: box }, { test: base.extend({ word: 'said' }) });
  more('stands beside what else a test has', ({ one, word }) => {
    expectTypeOf(word).toEqualTypeOf<string>();
    expect([one.status, word]).toEqual(['running', 'said']);
  });
});

describe.runIf(can('userns') === true && can('busybox') === true)('a container that was prepared', () => {
  const image = busyboxImage();
  const runtime = createRuntime({ root: join(image.directory, 'runts'), state: join(image.directory, 'state') });
  let prepared = 0;
  const test = withContainers(
    {
      db: {
        image: image.path,
        command: ['sleep', '1000'],
        stopSignal: 'SIGKILL',
        async prepare(container) {
          prepared++;
          await container.exec(['sh', '-c', 'echo row > /table']);
        },
      },
    },
    { runtime },
  );
  for (const word of ['first', 'second']) {
    test(`is as it was left, for the ${word} test`, async ({ db }) => {
      expect((await db.exec(['sh', '-c', `echo ${word} >> /table; cat /table`])).stdout).toBe(`row\n${word}\n`);
      expect(prepared).toBe(1);
    });
  }
  base('goes with its runtime', async () => {
    await runtime[Symbol.asyncDispose]();
    await removeData(join(image.directory, 'runts'));
    rmSync(image.directory, { recursive: true, force: true });
  });
});

interface Report {
  readonly testResults: readonly {
    readonly assertionResults: readonly { title: string; status: string; failureMessages: string[] }[];
  }[];
}

/** Runs the test files of the fixtures by vitest itself: what each test came to. */
async function outcomes() {
  const directory = mkdtempSync(join(tmpdir(), 'runts-test-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  const root = fileURLToPath(new URL('fixtures', import.meta.url));
  const report = join(directory, 'report.json');
  const program = fileURLToPath(new URL('../../node_modules/vitest/vitest.mjs', import.meta.url));
  const options = ['run', '--root', root, '--config', join(root, 'vitest.config.ts'), '--reporter=json'];
  const isOurs = (name: string) => !/^(VITEST|TEST|MODE|DEV|PROD|SSR|BASE_URL|NODE_ENV|RUNTS_TEST_REPORT)/.test(name);
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => isOurs(name)));
  const child = spawn(process.execPath, [program, ...options, `--outputFile=${report}`], {
    stdio: 'ignore',
    env,
  });
  onTestFinished(() => void child.kill());
  await once(child, 'exit');
  const { testResults } = JSON.parse(readFileSync(report, 'utf8')) as Report;
  return testResults.flatMap(({ assertionResults }) => assertionResults);
}

testIf('userns')(
  'a failure shows what the containers of the test wrote last; workers beside one another have their own',
  async () => {
    const results = await outcomes();
    const of = (title: string) => results.find((each) => each.title === title)?.failureMessages.join('\n') ?? '';
    expect(of('fails with a container of its own')).toContain(
      'the container box wrote last:\n  line 4\n  line 5\n  up',
    );
    expect(of('fails with a container of its own')).not.toContain('line 3');
    expect(of('fails and does not use it')).not.toContain('wrote last');
    expect(of('fails while it writes')).toContain('the container service wrote last:\n  said in the test');
    const failed = results.filter(({ status }) => status === 'failed').map(({ title }) => title);
    expect(failed).toEqual(['fails with a container of its own', 'fails and does not use it', 'fails while it writes']);
    expect(results.filter(({ status }) => status === 'passed')).toHaveLength(5);
  },
);

base('a container of tests cannot outlive them', () => {
  const stays = { host: true, command: ['sleep', '1000'], detached: true } as const;
  expect(() => withContainers({ stays } as never)).toThrow(expect.objectContaining({ origin: '/detached' }));
});
