import { expect, test } from 'vitest';
import { tags } from '../../lib/plan/plan.ts';
import { host } from '../support/ops.ts';
import { type DraftSpec, waiting } from '../support/plans.ts';

const root = process.getuid?.() === 0;

/** As root without a user namespace, whose root file system would have to belong to somebody else. */
function plain(edit: (spec: DraftSpec) => void = () => {}): (spec: DraftSpec) => void {
  return (spec) => {
    if (root) spec.linux.namespaces = spec.linux.namespaces.filter(({ type }) => type !== 'user');
    edit(spec);
  };
}

const sh = (script: string) =>
  plain((spec) => {
    spec.process.args = ['sh', '-c', script];
  });

test('a container waits at its socket, and runs its command when it is started', async () => {
  const container = await waiting(sh('echo hello from $$'));
  await container.start();
  expect(await container.output).toBe('hello from 1\n');
  expect(await container.session.exit).toEqual({ code: 0, signal: undefined });
});

test('a command runs in a container that waits, and leaves it waiting', async () => {
  const container = await waiting(sh('echo started'));
  const { output, exit } = await container.exec(['sh', '-c', 'echo $(hostname) $(id -u) $$; cat /proc/1/comm']);
  expect(exit.code).toBe(0);
  expect(output).toMatch(/^\S+ 0 2\nrunts-init\n$/);
  await container.start();
  expect(await container.output).toBe('started\n');
});

test('hooks of both kinds hear the state, in the root that they are for and with the right they have', async () => {
  const edit = plain((spec) => {
    const hook = (script: string) => ({ path: '/bin/sh', args: ['sh', '-c', script] });
    spec.hooks = {
      createContainer: [hook('cat > created; pwd >> created')],
      startContainer: [hook('cat > /tmp/started; id -u >> /tmp/started; echo $GREETING >> /tmp/started')],
    };
    spec.process.user = { uid: 0, gid: 0 };
    spec.process.env = ['PATH=/bin', 'GREETING=hello'];
    spec.process.args = ['sh', '-c', 'cat /created /tmp/started'];
  });
  const state = async () => host.kernel.blob(Buffer.from('{"status":"creating"}\n'));
  const container = await waiting(edit, { at: new Map([[tags.state, state]]) });
  await container.start('{"status":"created"}\n');
  const lines = (await container.output).split('\n');
  expect(lines[0]).toBe('{"status":"creating"}');
  expect(lines[1]).toMatch(/runts-test-/);
  expect(lines.slice(2)).toEqual(['{"status":"created"}', '0', 'hello', '']);
});

test('a later command has the session keyring of the container', async () => {
  // The keyring of a container that has just ended, of the same user, is seen for a moment: this name is nobody else's.
  const id = `keyring-${process.pid}`;
  const edit = plain((spec) => {
    spec.linux.maskedPaths = [];
    spec.process.args = ['true'];
  });
  const container = await waiting(edit, { id });
  const keyring = async () => (await container.exec(['sh', '-c', `grep -c "_ses.${id}" /proc/keys`])).output;
  // One of its own would be a second one of this name: of as many as there are commands.
  expect([await keyring(), await keyring()]).toEqual(['1\n', '1\n']);
  await container.start();
});

test('a later command gets a terminal of the container’s', async () => {
  const container = await waiting(sh('true'));
  const { handles, exit } = await container.execOnTerminal(['sh', '-c', 'tty > /tmp/tty; stty size >> /tmp/tty'], {
    consoleSize: { width: 90, height: 33 },
  });
  expect(exit.code).toBe(0);
  expect([...handles.keys()]).toEqual([tags.console]);
  const { output } = await container.exec(['cat', '/tmp/tty']);
  expect(output).toBe('/dev/pts/0\n33 90\n');
  await container.start();
});

test('what cannot be executed is an error before anything runs, with the exit code that callers know', async () => {
  const container = await waiting(sh('true'));
  await expect(container.exec(['/nowhere'])).rejects.toMatchObject({ code: 'ERR_EXEC', exit: 127 });
  await expect(container.exec(['/etc/passwd'])).rejects.toMatchObject({ code: 'ERR_EXEC', exit: 126 });
  await container.start();
});

test('a working directory that is not there is made', async () => {
  const container = await waiting(sh('true'));
  const at = (cwd: string) => container.exec(['pwd'], (process) => (process.cwd = cwd));
  expect((await at('/made/for/it')).output).toBe('/made/for/it\n');
  await container.start();
});

test('a label of a security module that is not at work is an error of create, which says so', async () => {
  const labelled = (edit: (spec: DraftSpec) => void) => waiting(plain(edit));
  const refusal = { code: 'ERR_SETUP', hint: expect.stringContaining('security module') };
  const apparmor = labelled((spec) => (spec.process.apparmorProfile = 'runts-no-such-profile'));
  await expect(apparmor).rejects.toMatchObject({ ...refusal, origin: '/process/apparmorProfile' });
  const selinux = labelled((spec) => (spec.process.selinuxLabel = 'runts:no:such:label'));
  await expect(selinux).rejects.toMatchObject({ ...refusal, origin: '/process/selinuxLabel' });
});

test('how a command is scheduled, and what machine it sees', async () => {
  const container = await waiting(
    plain((spec) => {
      spec.process.scheduler = { policy: 'SCHED_BATCH', nice: 7 };
      spec.process.ioPriority = { class: 'IOPRIO_CLASS_IDLE', priority: 0 };
      spec.linux.personality = { domain: 'LINUX32' };
      spec.process.args = ['sh', '-c', "awk '{ print $19, $41 }' /proc/self/stat; ionice -p $$; uname -m"];
    }),
  );
  await container.start();
  const said = await container.output;
  // Its nice value, and SCHED_BATCH.
  expect(said).toMatch(/^7 3\n/);
  expect(said).toContain('idle');
  expect(said).toMatch(/(i686|armv8l)\n$/);
});
