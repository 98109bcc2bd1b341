import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { Handle } from '../../lib/host/host.ts';
import { createHost } from '../../lib/node/host.ts';
import { cgroup2Root, testIf } from '../support/requires.ts';

const { files, kernel } = createHost();

/** `mov r0, value; exit`: 1 allows everything, 0 nothing. */
const answering = (value: number) => new Uint8Array([0xb7, 0, 0, 0, value, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0]);

async function inCgroup(work: (path: string, handle: Handle) => Promise<void>): Promise<void> {
  const path = join(cgroup2Root as string, `runts-devices-${process.pid}`);
  mkdirSync(path);
  try {
    const handle = await files.open(path, 'directory');
    await work(path, handle);
    handle.close();
  } finally {
    rmdirSync(path);
  }
}

/** What a process of the cgroup gets to hear when it opens a device. */
function opens(cgroup: string): string {
  const script = 'echo $$ >"$0/cgroup.procs" && : </dev/zero && echo opened';
  const { stdout, stderr } = spawnSync('/bin/sh', ['-c', script, cgroup], { encoding: 'utf8' });
  return `${stdout}${stderr}`.trim();
}

testIf('root', 'cgroup2')('a device filter refuses, and the next one takes its place', async () => {
  await inCgroup(async (path, cgroup) => {
    expect(opens(path)).toBe('opened');
    await kernel.filterDevices(cgroup, answering(0));
    expect(opens(path)).toMatch(/Operation not permitted/);
    // Were the first one still there, it would refuse: all that are attached must allow.
    await kernel.filterDevices(cgroup, answering(1));
    expect(opens(path)).toBe('opened');
    await kernel.filterDevices(cgroup, answering(0));
    expect(opens(path)).toMatch(/Operation not permitted/);
  });
});

testIf('root', 'cgroup2')(
  'filters leave no descriptor, and a cgroup takes more of them than it holds at once',
  async () => {
    await inCgroup(async (path, cgroup) => {
      await kernel.filterDevices(cgroup, answering(1));
      const before = readdirSync('/proc/self/fd').length;
      for (let i = 0; i < 80; i++) await kernel.filterDevices(cgroup, answering((i + 1) % 2));
      expect(readdirSync('/proc/self/fd').length).toBe(before);
      expect(opens(path)).toMatch(/Operation not permitted/);
    });
  },
);

testIf('root', 'cgroup2')('what the kernel does not take is told with what it was asked for', async () => {
  await inCgroup(async (_, cgroup) => {
    await expect(kernel.filterDevices(cgroup, new Uint8Array(8))).rejects.toMatchObject({
      syscall: 'bpf',
      path: 'BPF_PROG_LOAD',
    });
    await expect(kernel.filterDevices(cgroup, new Uint8Array(7))).rejects.toMatchObject({ code: 'ERR_INTERNAL' });
  });
  const directory = await files.open('/tmp', 'directory');
  await expect(kernel.filterDevices(directory, answering(1))).rejects.toMatchObject({ code: 'EBADF', syscall: 'bpf' });
  directory.close();
});
