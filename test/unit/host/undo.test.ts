import { expect, test } from 'vitest';
import { RuntsError } from '../../../lib/errors.ts';
import { Undo, withReleaseErrors } from '../../../lib/host/undo.ts';

test('releases in reverse order, once, and goes on past a failure', async () => {
  const undo = new Undo();
  const released: number[] = [];
  for (const n of [1, 2, 3]) {
    undo.add(async () => {
      released.push(n);
      if (n === 2) throw new Error('two');
    });
  }
  const [first, second] = await Promise.all([undo.run(), undo.run()]);
  expect(released).toEqual([3, 2, 1]);
  expect(first).toEqual([new Error('two')]);
  expect(second).toBe(first);
});

test('what was dismissed is not released', async () => {
  const undo = new Undo();
  undo.add(() => expect.unreachable());
  undo.dismiss();
  expect(await undo.run()).toEqual([]);
});

test('nothing can be acquired while everything is being released', async () => {
  const undo = new Undo();
  await undo.run();
  expect(() => undo.add(() => {})).toThrow('acquired while');
});

test('the errors of a release stand beside the one before them, which keeps its fields', () => {
  const failure = { index: 3, op: 'attach', step: 'move_mount', errno: 'EPERM', detail: '' };
  const error = new RuntsError('ERR_SETUP', 'no', { origin: '/mounts/1', hint: 'try', failure, exit: 126 });
  const both = withReleaseErrors(error, [new Error('busy')]) as RuntsError;
  expect(both).toMatchObject({ code: 'ERR_SETUP', origin: '/mounts/1', hint: 'try', failure, exit: 126 });
  expect(both.message).toBe('no\n  and releasing what was made failed: busy');
  expect(both.cause).toEqual([error, new Error('busy')]);
  expect(withReleaseErrors(error, [])).toBe(error);
});
