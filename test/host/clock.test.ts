import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test, vi } from 'vitest';
import { clock } from '../../lib/node/clock.ts';
import { turn } from '../../lib/node/turn.ts';

const after = async (ms: number): Promise<number> => {
  const began = performance.now();
  await clock.after(ms).done;
  return performance.now() - began;
};

test('a time is over when it is, whatever others are waited for', async () => {
  const far = clock.after(60_000);
  const first = after(1300);
  const [near, middle, same] = await Promise.all([after(20), after(1100), first]);
  expect(near).toBeGreaterThan(18);
  expect(middle).toBeGreaterThanOrEqual(1099);
  expect(same).toBeGreaterThanOrEqual(1299);
  expect(middle).toBeLessThan(same);
  far.cancel();
});

test('what is canceled does not come, and keeps back nothing that was to come after it', async () => {
  let came = false;
  const canceled = clock.after(1000);
  void canceled.done.then(() => {
    came = true;
  });
  const next = after(1200);
  canceled.cancel();
  canceled.cancel();
  expect(await next).toBeGreaterThanOrEqual(1199);
  expect(came).toBe(false);
});

const program = (body: string) => {
  const url = fileURLToPath(new URL('../../dist/lib/node/clock.js', import.meta.url));
  const began = performance.now();
  const args = ['--input-type=module', '-e', `import { clock } from ${JSON.stringify(url)}; ${body}`];
  const text = execFileSync(process.execPath, args, { encoding: 'utf8' });
  return { text, ms: performance.now() - began };
};

test('a program is kept from its end by what it waits for, and by nothing that was canceled', () => {
  const waits =
    'const one = clock.after(60_000); one.cancel(); clock.after(1500).done.then(() => console.log("over"));';
  expect(program(waits).text).toBe('over\n');
  const { text, ms } = program('clock.after(60_000).cancel(); console.log("done");');
  expect(text).toBe('done\n');
  expect(ms).toBeLessThan(30_000);
});

test('longer than a timer of Node can wait is not now', async () => {
  const warned: unknown[] = [];
  const hear = (warning: unknown) => warned.push(warning);
  process.on('warning', hear);
  let came = false;
  const forever = clock.after(2 ** 40);
  void forever.done.then(() => {
    came = true;
  });
  await after(50);
  forever.cancel();
  process.off('warning', hear);
  expect([came, warned]).toEqual([false, []]);
});

test('who lets others go first comes back in a program that has stopped its own timers', async () => {
  vi.useFakeTimers({ toFake: ['setImmediate'] });
  try {
    expect(await Promise.race([turn().then(() => 'back'), after(1000)])).toBe('back');
  } finally {
    vi.useRealTimers();
  }
});

test('who lets others go first comes after what has been waiting, and before a time that is not over', async () => {
  const came: string[] = [];
  const far = clock.after(1000);
  void far.done.then(() => came.push('time'));
  setImmediate(() => came.push('waiting'));
  await turn();
  came.push('turn');
  far.cancel();
  expect(came).toEqual(['waiting', 'turn']);
});
