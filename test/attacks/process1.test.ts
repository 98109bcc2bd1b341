// CVE-2016-9962, CVE-2024-21626, CVE-2019-5736: what process 1 or the command holds of the host.
import fs from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished } from 'vitest';
import { createRuntime, run } from '../../lib/index.ts';
import { asAnother, attack, attackIf, isRoot, outcomeOf, payloadMount, place, smallRoot } from '../support/attack.ts';
import { testIf } from '../support/requires.ts';

const inner = attackIf();

for (const init of [true, false]) {
  inner(`the command has three descriptors and no more (init: ${init})`, async () => {
    expect(await attack({ init }, 'descriptors')).toMatchObject({ won: [], exitCode: 0 });
  });
}

attackIf('busybox')('nor has it more in a root file system of its own', async () => {
  expect(await attack({ rootfs: smallRoot() }, 'descriptors')).toMatchObject({ won: [], exitCode: 0 });
});

for (const options of [{}, ...asAnother, ...(isRoot ? [{ userns: 'host' }] : [])]) {
  inner(`process 1 can be neither read, traced nor ended: ${JSON.stringify(options)}`, async () => {
    // 42: it lived to tell how the command ended, after every signal was sent to it.
    expect(await attack(options, 'process1')).toMatchObject({ won: [], exitCode: 42 });
  });
}

for (const options of [{}, ...asAnother, ...(isRoot ? [{ userns: 'host' as const }] : [])]) {
  inner(
    `process 1 of a detached container keeps the files that it writes to itself: ${JSON.stringify(options)}`,
    async () => {
      const directory = place('detached');
      await using runtime = createRuntime({ root: join(directory, 'data'), state: join(directory, 'state') });
      const command = ['/attack', 'process1'];
      const container = await runtime.createContainer({
        host: true,
        detached: true,
        mounts: [payloadMount()],
        command,
        ...options,
      });
      onTestFinished(() => container.remove({ force: true }));
      await container.start();
      expect(await container.wait()).toMatchObject({ exitCode: 42 });
      const lines: string[] = [];
      for await (const { text } of container.logs()) lines.push(text);
      expect(outcomeOf(lines.join('\n')).won).toEqual([]);
    },
  );
}

inner('nor can a command be run in it that may trace process 1', async () => {
  const directory = place('detached');
  await using runtime = createRuntime({ root: join(directory, 'data'), state: join(directory, 'state') });
  const command = ['sleep', '1000'];
  const container = await runtime.createContainer({
    host: true,
    detached: true,
    seccomp: 'unconfined',
    mounts: [payloadMount()],
    command,
  });
  onTestFinished(() => container.remove({ force: true }));
  await container.start();
  const traced = container.exec(['/attack', 'traced'], { privileged: true });
  await expect(traced).rejects.toMatchObject({ issues: [expect.objectContaining({ path: '/privileged' })] });
  // Root of a user namespace has every capability there: process 1 is above it.
  const above = await container.exec(['unshare', '-U', '-r', '/attack', 'traced'], { reject: false });
  const cannotOpen = 3;
  expect({ ...outcomeOf(above.stdout), exitCode: above.exitCode }).toEqual({
    won: [],
    control: [],
    exitCode: cannotOpen,
  });
  expect((await container.inspect()).status).toBe('running');
});

inner(
  'who may trace process 1 finds a sealed program, no path of the host, and a channel that it can lie on',
  async () => {
    const outcome = await attack({ capabilities: { add: ['CAP_SYS_PTRACE'] } }, 'traced');
    expect(outcome).toMatchObject({ won: [], control: ['exe', 'channel'] });
  },
);

// The runtime's own program, run as the container's command or as the interpreter of a script (CVE-2019-5736).
for (const command of ['/proc/self/exe', '/proc/1/exe', '/proc/self/fd/3', '/script']) {
  testIf('userns', 'busybox')(`${command} is not a way to run the runtime again`, async () => {
    const root = smallRoot();
    fs.writeFileSync(`${root}/script`, '#!/proc/self/exe\n', { mode: 0o755 });
    const result = await run({ rootfs: root, command: [command], reject: false, timeout: 10_000 }).catch((e) => e.code);
    expect(['ERR_EXEC', 125]).toContain(result.exitCode ?? result);
  });
}
