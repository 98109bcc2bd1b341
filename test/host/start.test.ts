import { describe, expect, test } from 'vitest';
import { RuntsError } from '../../lib/errors.ts';
import { kill, stop } from '../../lib/host/kill.ts';
import { remove } from '../../lib/host/remove.ts';
import { exitOfStatus, start } from '../../lib/host/start.ts';
import { tags } from '../../lib/plan/plan.ts';
import { Sim } from '../support/sim.ts';
import { type Command, frame, type Misdeed } from '../support/sim-init.ts';
import { createIn, failure, fullPlan, hostFiles, startIn } from './plans.ts';

const atOp = (op: string, misdeed: Misdeed) => (name: string, _: number, process: number) =>
  process === 1 && name === op ? misdeed : undefined;

describe('create', () => {
  test('gives the handles that the init sent, by tag, and the times of its ops', async () => {
    const sim = new Sim({ files: hostFiles });
    const traced: number[] = [];
    const created = await sim.run(createIn(sim, fullPlan(), { trace: (op) => traced.push(op) }));
    expect([...created.handles.keys()]).toEqual([tags.console]);
    expect(traced.slice(0, 3)).toEqual([0, 1, 2]);
    await sim.run(remove(created));
    expect(sim.leaks()).toEqual([]);
  });

  test('writes the limits of the cgroup before the process is cloned into it', async () => {
    const sim = new Sim({ files: hostFiles });
    const created = await sim.run(createIn(sim, fullPlan()));
    const limit = sim.calls.indexOf('write /sys/fs/cgroup/runts/c1/memory.max');
    expect(limit).toBeGreaterThan(0);
    expect(sim.calls.indexOf('spawn')).toBeGreaterThan(limit);
    expect(sim.tree.read('/sys/fs/cgroup/runts/c1/pids.max')).toBe('10');
    expect(sim.tree.read('/sys/fs/cgroup/runts/c1/cgroup.events')).toContain('populated 1');
    await sim.run(remove(created));
  });

  test('ahead, it is let go on with its program, and hears no other word', async () => {
    const sim = new Sim({ files: hostFiles, command: { afterMs: 10, code: 3 } });
    const created = await sim.run(createIn(sim, fullPlan(), { ahead: true }));
    expect(created.goesOn).toBe(true);
    const { exit } = await sim.run(start(created));
    expect(await sim.run(exit)).toEqual({ code: 3, signal: undefined });
    await sim.run(remove(created));
    expect(sim.leaks()).toEqual([]);
  });

  test('what is removed while somebody looks whether its cgroup is empty leaves nobody looking', async () => {
    for (let seed = 1; seed <= 60; seed++) {
      const sim = new Sim({ seed, files: hostFiles, command: { afterMs: 10 } });
      const created = await sim.run(createIn(sim, fullPlan()));
      await sim.run(start(created).then(({ exit }) => exit));
      const drop = () => void created.dropCgroup();
      if (seed % 2 === 0) drop();
      else sim.inAWhile(drop);
      await sim.run(remove(created));
      const { length } = sim.calls;
      expect({ seed, leaks: sim.leaks() }).toEqual({ seed, leaks: [] });
      await sim.settle();
      expect({ seed, later: sim.calls.slice(length) }).toEqual({ seed, later: [] });
    }
  });

  test('ahead, one that stops for somebody else on the way is let go on where it would have been', async () => {
    const sim = new Sim({ files: hostFiles, command: { afterMs: 10 } });
    const plan = fullPlan();
    const maps = { op: 'sync', operands: { tag: tags.maps }, origin: 'maps' } as const;
    const segment = { ...plan.segment, ops: [maps, ...plan.segment.ops] };
    const created = await sim.run(createIn(sim, { ...plan, segment }, { ahead: true }));
    expect(created.goesOn).toBe(false);
    await sim.run(start(created));
    await sim.run(remove(created));
    expect(sim.leaks()).toEqual([]);
  });

  test('ahead, what fails after the start is told by the start', async () => {
    const misdeed = { kind: 'error', errno: 'ENOENT', step: 'execve' } as const;
    const sim = new Sim({ files: hostFiles, misdeed: atOp('exec', misdeed) });
    const created = await sim.run(createIn(sim, fullPlan({ reaps: false }), { ahead: true }));
    expect(await sim.run(failure(start(created)))).toMatchObject({ failure: { op: 'exec', errno: 'ENOENT' } });
    expect(sim.leaks()).toEqual([]);
  });

  test('says what failed, where it came from and what to do', async () => {
    const misdeed = { kind: 'error', errno: 'EINVAL', step: 'fsconfig', detail: 'size=banana' } as const;
    const sim = new Sim({ files: hostFiles, misdeed: atOp('fsmount', misdeed) });
    const error = await sim.run(failure(createIn(sim, fullPlan())));
    expect(error).toMatchObject({
      code: 'ERR_SETUP',
      message: 'cannot mount tmpfs on /tmp: EINVAL while setting "size=banana"\n  at config /mounts/0 → op 5 fsmount',
      origin: '/mounts/0',
      hint: 'tmpfs sizes are numbers with k, m, g or %',
      failure: { index: 5, op: 'fsmount', step: 'fsconfig', errno: 'EINVAL', detail: 'size=banana' },
    });
    expect(sim.leaks()).toEqual([]);
  });

  test('fails every op by injection, with its name and origin', async () => {
    const plan = fullPlan();
    for (let failAt = 0; failAt < 13; failAt++) {
      const sim = new Sim({ files: hostFiles });
      const error = await sim.run(failure(createIn(sim, plan, { failAt, failErrno: 28 })));
      expect(error).toMatchObject({ failure: { index: failAt, op: plan.segment.ops[failAt]?.op, errno: 'ENOSPC' } });
      expect(sim.leaks()).toEqual([]);
    }
  });

  test('an init that stalls is killed at the deadline, and the error says how far it came', async () => {
    const sim = new Sim({ files: hostFiles, misdeed: atOp('pivot', { kind: 'stall' }) });
    const startMs = sim.nowMs;
    const error = await sim.run(failure(createIn(sim, fullPlan(), { deadlineMs: 5000 })));
    expect(error).toMatchObject({ code: 'ERR_TIMEOUT' });
    expect((error as Error).message).toContain('The last it said: handle 2');
    expect(sim.nowMs - startMs).toBe(5000);
    expect(sim.leaks()).toEqual([]);
  });

  test('an init that dies without a word is an error that says how', async () => {
    const misdeed = { kind: 'die', exit: { code: undefined, signal: 9 } } as const;
    const sim = new Sim({ files: hostFiles, misdeed: atOp('pivot', misdeed) });
    const error = await sim.run(failure(createIn(sim, fullPlan())));
    expect(error).toMatchObject({ code: 'ERR_SETUP', hint: expect.stringContaining('memory') });
    expect((error as Error).message).toContain('the init died by signal 9');
  });

  test.each([
    ['an exit before any start', frame('exit', { value: 0 })],
    ['another sync point', frame('sync', { tag: 77 })],
    ['a start that nobody asked for', frame('started')],
    ['half a frame', new Uint8Array(100)],
    ['an unknown kind', new Uint8Array(320)],
    ['a handle frame without a handle', frame('handle', { tag: 9 })],
  ])('a frame out of order is a bug and not a container: %s', async (_, message) => {
    const sim = new Sim({ files: hostFiles, misdeed: atOp('pivot', { kind: 'say', messages: [message] }) });
    const error = await sim.run(failure(createIn(sim, fullPlan())));
    expect(error).toMatchObject({ code: 'ERR_INTERNAL' });
    await sim.settle();
    expect(sim.leaks()).toEqual([]);
  });

  test('a failing release is told beside the failure that led to it', async () => {
    const misdeed = { kind: 'error', errno: 'EPERM', step: 'pivot_root' } as const;
    const clean = new Sim({ files: hostFiles, misdeed: atOp('pivot', misdeed) });
    await clean.run(failure(createIn(clean, fullPlan())));
    const at = clean.calls.indexOf('removeDirectory /sys/fs/cgroup/runts/c1');
    const fault = { at, kind: 'fail', errno: 'EIO' } as const;
    const sim = new Sim({ files: hostFiles, misdeed: atOp('pivot', misdeed), fault });
    const error = (await sim.run(failure(createIn(sim, fullPlan())))) as RuntsError;
    expect(error.message).toContain('cannot change to the root of the container: EPERM');
    expect(error.message).toContain('releasing what was made failed: cannot remove the cgroup');
    expect(error.cause).toHaveLength(2);
    expect(error.failure?.op).toBe('pivot');
  });

  test('follows a fork: the process that counts is the one the init named', async () => {
    const plan = fullPlan();
    const at = plan.segment.ops.findIndex(({ op }) => op === 'sync');
    const ops = [...plan.segment.ops];
    ops.splice(at, 0, { op: 'fork', operands: {}, origin: 'fork' });
    const sim = new Sim({ files: hostFiles });
    const created = await sim.run(createIn(sim, { ...plan, segment: { ...plan.segment, ops } }));
    expect(created.session.pid).toBeGreaterThan(101);
    await sim.run(remove(created));
    expect(sim.leaks()).toEqual([]);
  });
});

describe('start', () => {
  const started = async (command: Command, reaps = true) => {
    const sim = new Sim({ files: hostFiles, command });
    return { sim, running: await sim.run(startIn(sim, fullPlan({ reaps }))) };
  };

  test.each([true, false])('gives the exit code of the command (with a reaper: %s)', async (reaps) => {
    const { sim, running } = await started({ afterMs: 100, code: 7 }, reaps);
    expect(await sim.run(running.exit)).toEqual({ code: 7, signal: undefined });
    await sim.run(remove(running.created));
    expect(sim.leaks()).toEqual([]);
  });

  test.each(['executed', 'over'])(
    'a command that ends with 125 is no failed start; first heard: it is %s',
    async (first) => {
      const sim = new Sim({ files: hostFiles, command: { afterMs: 1, code: 125 } });
      const created = await sim.run(createIn(sim, fullPlan({ reaps: false })));
      const { session } = created;
      const receive = session.receive.bind(session);
      if (first === 'over') session.receive = () => session.exit.then(receive);
      const { exit } = await sim.run(start(created));
      expect(await sim.run(exit)).toEqual({ code: 125, signal: undefined });
    },
  );

  test('without an exit frame the end of process 1 counts', async () => {
    const { sim, running } = await started({ afterMs: 100, reaperDies: true });
    expect(await sim.run(running.exit)).toEqual({ code: undefined, signal: 9 });
  });

  test('what else comes over the channel while the command runs does not disturb it', async () => {
    const says = [new Uint8Array(5), frame('sync', { tag: 1 }), frame('error'), new Uint8Array(320)];
    const { sim, running } = await started({ afterMs: 100, code: 3, says });
    expect(await sim.run(running.exit)).toEqual({ code: 3, signal: undefined });
  });

  test('a flood over the channel ends the container', async () => {
    const says = Array.from({ length: 200 }, () => new Uint8Array(320));
    const { sim, running } = await started({ says });
    await sim.run(running.exit);
    await sim.run(remove(running.created));
    await sim.settle();
    expect(sim.leaks()).toEqual([]);
  });

  test.each([
    ['find', 'ENOENT', 127, 'exec: "foo": executable file not found in $PATH'],
    ['find', 'EACCES', 126, 'exec foo: permission denied'],
    ['exec', 'ENOEXEC', 126, 'exec foo: exec format error'],
    ['exec', 'ENOENT', 127, 'exec foo: no such file or directory'],
  ])('%s with %s is exit code %i', async (op, errno, exit, message) => {
    for (const reaps of [true, false]) {
      const sim = new Sim({ files: hostFiles, misdeed: atOp(op, { kind: 'error', errno, step: 'execve' }) });
      const error = await sim.run(failure(startIn(sim, fullPlan({ reaps }))));
      expect(error).toMatchObject({ code: 'ERR_EXEC', exit, failure: { op, errno } });
      expect((error as Error).message).toContain(message);
      expect(sim.leaks()).toEqual([]);
    }
  });

  test('happens once', async () => {
    const sim = new Sim({ files: hostFiles });
    const created = await sim.run(createIn(sim, fullPlan()));
    const both = Promise.allSettled([start(created), start(created)]);
    const outcomes = await sim.run(both);
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected']);
    await sim.run(remove(created));
    await sim.run(failure(start(created))).then((error) => expect(error).toMatchObject({ code: 'ERR_STATE' }));
  });

  test('a wait status is read as wait(2) has it', () => {
    expect([0x0000, 0x0700, 9, 0x8b, 0x137f].map(exitOfStatus)).toEqual([
      { code: 0, signal: undefined },
      { code: 7, signal: undefined },
      { code: undefined, signal: 9 },
      // Killed with a core dump: the flag is not part of the signal's number.
      { code: undefined, signal: 0x8b & 0x7f },
      undefined,
    ]);
  });
});

describe('stop and remove', () => {
  test('a command that heeds the signal ends at once', async () => {
    const sim = new Sim({ files: hostFiles });
    const running = await sim.run(startIn(sim, fullPlan()));
    const startMs = sim.nowMs;
    expect(await sim.run(stop(running))).toEqual({ code: undefined, signal: 15 });
    expect(sim.nowMs).toBe(startMs);
    await sim.run(remove(running.created));
  });

  test('a command that does not is killed after the grace', async () => {
    const sim = new Sim({ files: hostFiles, command: { ignores: [15] } });
    const running = await sim.run(startIn(sim, fullPlan()));
    const startMs = sim.nowMs;
    expect(await sim.run(stop(running, { graceMs: 700 }))).toEqual({ code: undefined, signal: 9 });
    expect(sim.nowMs - startMs).toBe(700);
    await sim.run(remove(running.created));
    expect(sim.leaks()).toEqual([]);
  });

  test('many stops and removals at once share one end, from any seed', async () => {
    for (let seed = 1; seed <= 30; seed++) {
      const sim = new Sim({ seed, files: hostFiles, command: { ignores: [15] } });
      const running = await sim.run(startIn(sim, fullPlan({ reaps: seed % 2 === 0 })));
      const work = [stop(running, { graceMs: 50 }), remove(running.created), stop(running), remove(running.created)];
      await sim.run(Promise.all<unknown>(work));
      await sim.run(remove(running.created));
      expect(await sim.run(stop(running))).toEqual({ code: undefined, signal: 9 });
      expect(kill(running.created, 9)).toBe(false);
      expect({ seed, leaks: sim.leaks() }).toEqual({ seed, leaks: [] });
    }
  });

  test('a removal during the start is no running container', async () => {
    for (let seed = 1; seed <= 30; seed++) {
      const sim = new Sim({ seed, files: hostFiles });
      const created = await sim.run(createIn(sim, fullPlan({ reaps: seed % 2 === 0 })));
      const [starting] = await sim.run(Promise.allSettled([start(created), remove(created)]));
      if (starting.status === 'rejected') expect(RuntsError.is(starting.reason)).toBe(true);
      await sim.settle();
      expect({ seed, leaks: sim.leaks() }).toEqual({ seed, leaks: [] });
    }
  });
});
