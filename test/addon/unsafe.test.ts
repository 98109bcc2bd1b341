import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { encode } from '../../lib/program/encode.ts';
import * as unsafe from '../../lib/unsafe.ts';
import { testIf } from '../support/requires.ts';
import { runFixture } from './fixture.ts';
import { halt, namespace } from './programs.ts';

testIf('root')("mounts are made, bound, changed and taken away in a mount namespace of one's own", async () => {
  expect(await runFixture('mounts')).toEqual({
    options: ['ro', 'nosuid', 'nodev', 'noexec'],
    bound: 'content',
    readonly: 'EROFS',
    below: 'content',
    gone: [],
    left: [],
  });
});

testIf('root')('a root is changed, a namespace entered, and what the kernel refuses has a hint', async () => {
  expect(await runFixture('roots')).toMatchObject({
    root: ['inside'],
    host: 'inside',
    outside: 'ERR_SETUP cannot mount tmpfs on /x: EINVAL',
    hint: true,
    cgroup: 'EXDEV',
  });
});

test('clone gives an init that waits', async () => {
  const session = await unsafe.clone({ flags: 0 });
  session.close();
  expect((await session.exit).code).toBe(125);
  await expect(unsafe.clone({ flags: namespace.user | 0x200 })).rejects.toMatchObject({
    code: 'ERR_SETUP',
    failure: { op: 'spawn', step: 'clone', errno: 'EINVAL' },
  });
});

test('the verifier of the init says what it thinks of a program', () => {
  const program = encode({ inputs: [], ops: [halt] });
  expect(unsafe.verifyProgram(program)).toBe(undefined);
  expect(unsafe.verifyProgram(program.subarray(0, 100))).toMatchObject({ reason: expect.any(String) });
  expect(unsafe.verifyProgram(new Uint8Array(0))).toMatchObject({ reason: expect.any(String) });
  const shifted = new Uint8Array(program.length + 1);
  shifted.set(program, 1);
  expect(unsafe.verifyProgram(shifted.subarray(1))).toBe(undefined);
});

test('a bad argument is ERR_SPEC, and names every one that is bad', () => {
  const bad = (call: () => unknown) => {
    try {
      call();
    } catch (error) {
      return error;
    }
    return undefined;
  };
  // biome-ignore lint/suspicious/noExplicitAny: wrong on purpose
  const any = unsafe as any;
  expect(bad(() => any.mount({ type: 5, target: 'a\0b', colour: 'red' }))).toMatchObject({
    code: 'ERR_SPEC',
    issues: [{ path: '/target' }, { path: '/type' }, { path: '/colour' }],
  });
  expect(bad(() => any.mount())).toMatchObject({ code: 'ERR_SPEC' });
  for (const call of [
    () => any.umount(3),
    () => any.unshare('all'),
    () => any.unshare(-1),
    () => any.pivotRoot({ fd: 3 }),
    () => any.setns(3),
    () => any.writeCgroup(3, 'x', 'y'),
    () => any.removeTree({}, '/'),
    () => any.verifyProgram('bytes'),
    () => any.setPropagation(1.5),
  ]) {
    expect(bad(call)).toMatchObject({ code: 'ERR_SPEC' });
  }
});

test('a handle that is closed is no handle', () => {
  const handle = unsafe.open('/');
  handle.close();
  expect(() => unsafe.removeTree(handle, 'none')).toThrow('a closed handle');
});

test('nothing here touched this process', () => {
  expect(readFileSync('/proc/self/mountinfo', 'utf8')).not.toContain('runts');
});
