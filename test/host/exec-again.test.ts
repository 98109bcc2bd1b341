import { describe, expect, test } from 'vitest';
import type { Executed } from '../../lib/host/exec.ts';
import { execAhead, type KnownExec, type Rest } from '../../lib/host/exec-again.ts';
import type { Host, Waiting } from '../../lib/host/host.ts';
import { tags } from '../../lib/plan/plan.ts';
import { Builder } from '../../lib/program/builder.ts';
import { encode } from '../../lib/program/encode.ts';
import { segmentMessages } from '../../lib/program/frames.ts';
import { facts } from '../plans/requests.ts';
import { type Fault, Sim, type SimOptions } from '../support/sim.ts';
import type { Misdeed } from '../support/sim-init.ts';

/** An init that waits, and then goes on in a child. */
function known(): { readonly known: KnownExec; readonly rest: Rest } {
  const [first, then] = [new Builder(), new Builder()];
  first.op('umask', { mask: 0o22 }, '/process/user/umask');
  first.op('next_program', { tag: tags.start }, 'default: start');
  then.op('chdir', { path: '/work' }, '/process/cwd');
  then.op('fork', {}, 'exec: namespaces');
  then.op('exec', { files: ['/bin/foo'], argv: ['foo'], env: [] }, '/process/args');
  const plan = { flags: 0, inputs: [], segment: first.segment(), reaps: false };
  const segment = then.segment();
  const [message] = segmentMessages(encode(segment));
  const messages = segmentMessages(encode(plan.segment));
  return { known: { plan, messages, order: [], children: 1 }, rest: { segment, message: message! } };
}

/** As the host makes it, but for the thread that would stay with it: what it says is told one by one. */
async function waiting({ processes }: Host, { messages }: KnownExec): Promise<Waiting> {
  const session = await processes.spawn({ flags: 0 });
  const close = async () => {
    processes.signal(session.process, 9);
    session.close();
    session.process.close();
  };
  const send = async (all: readonly Uint8Array[]) => {
    try {
      for (const message of all) await session.send(message);
    } catch (error) {
      await close();
      throw error;
    }
  };
  await send(messages);
  return { letGo: (word) => send([word]).then(() => Object.assign(session, { errand: true })), close };
}

/** What becomes of it; and how often the init came to execute the command. */
async function letGo(options: SimOptions) {
  let executed = 0;
  const misdeed: SimOptions['misdeed'] = (op, index, init) => {
    const misdeed = options.misdeed?.(op, index, init);
    if (op === 'exec' && misdeed === undefined) executed++;
    return misdeed;
  };
  const sim = new Sim({ ...options, misdeed });
  const work = async () => {
    const { known: command, rest } = known();
    const made = await execAhead(sim.host, command, {
      waiting: await waiting(sim.host, command),
      rest,
      facts: facts('root'),
    });
    const exit = await made?.exit;
    made?.release();
    return { made, exit };
  };
  const outcome = await sim.run(work().catch((error: unknown) => error));
  await sim.settle();
  expect(sim.leaks()).toEqual([]);
  return { outcome, executed };
}

const at = (name: string, misdeed: Misdeed) => (op: string) => (op === name ? misdeed : undefined);
const nothing: { readonly made: Executed | undefined; readonly exit: undefined } = { made: undefined, exit: undefined };

describe('an init that waited', () => {
  test('becomes the command when it is let go', async () => {
    for (let seed = 1; seed <= 20; seed++) {
      const { outcome, executed } = await letGo({ seed, command: { afterMs: 50, code: 7 } });
      expect(outcome).toMatchObject({ exit: { code: 7, signal: undefined } });
      expect(executed).toBe(1);
    }
  });

  test.each(['umask', 'chdir', 'fork', 'exec'])(
    'that fails at %s has done nothing, and nobody hears why',
    async (op) => {
      for (let seed = 1; seed <= 20; seed++) {
        const misdeed = at(op, { kind: 'error', errno: 'ENOENT' });
        expect(await letGo({ seed, misdeed })).toEqual({ outcome: nothing, executed: 0 });
      }
    },
  );

  test('that dies before it can be let go has done nothing', async () => {
    for (let seed = 1; seed <= 20; seed++) {
      const misdeed = at('umask', { kind: 'die', exit: { code: undefined, signal: 9 } });
      expect(await letGo({ seed, misdeed })).toEqual({ outcome: nothing, executed: 0 });
    }
  });

  test('that does not come to its end is killed, and who asked hears that', async () => {
    for (const op of ['chdir', 'exec']) {
      const { outcome } = await letGo({ misdeed: at(op, { kind: 'stall' }) });
      expect(outcome).toMatchObject({ code: 'ERR_TIMEOUT' });
    }
  });

  test('that may be the command already is not made again: where nothing is said of it, that is no wish to try again', async () => {
    for (let seed = 1; seed <= 20; seed++) {
      const { outcome, executed } = await letGo({ seed, command: { afterMs: 0, code: 125 } });
      expect(outcome).toMatchObject({ exit: { code: 125 } });
      expect(executed).toBe(1);
    }
  });

  test('whatever is refused, the command is executed once or not at all, and who asked can tell', async () => {
    // From the word on: that may come late, too.
    const faults: Fault[] = [{ at: 2, kind: 'late' }];
    for (let call = 2; call < 12; call++) faults.push({ at: call, kind: 'fail', errno: 'EIO' });
    for (const fault of faults) {
      const { outcome, executed } = await letGo({ fault, seed: fault.at, command: { afterMs: 10 } });
      const isDone = outcome instanceof Error || (outcome as { made: unknown }).made !== undefined;
      expect(executed === 0 || isDone, `${fault.kind} of call ${fault.at}`).toBe(true);
    }
  });
});
