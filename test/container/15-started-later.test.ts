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
