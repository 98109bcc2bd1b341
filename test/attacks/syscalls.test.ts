// What the default seccomp profile keeps from the kernel, by each door to it: native, x32 and i386.
import { expect } from 'vitest';
import { attack, attackIf } from '../support/attack.ts';

const inner = attackIf();

inner('no door to the kernel leads past the default profile', async () => {
  const { won, control } = await attack({}, 'syscalls');
  expect(won).toEqual([]);
  expect(control).toContain('syscall');
});

inner('the table of attempts wins where there is no profile', async () => {
  const { won } = await attack({ seccomp: 'unconfined' }, 'syscalls');
  expect(won).toEqual(expect.arrayContaining(['syscall unshare user', 'clone CLONE_NEWUSER', 'syscall keyctl']));
});
