import { describe, expect, test } from 'vitest';
import { encodeCall } from '../../lib/dbus/message.ts';
import { Reader } from '../../lib/dbus/read.ts';
import { bounded } from '../../lib/host/bounded.ts';
import { Bus, BusError } from '../../lib/host/bus.ts';
import { encodeUtf8 } from '../../lib/program/utf8.ts';
import { type Peer, Sim } from '../support/sim.ts';
import { encodeMessage } from '../support/sim-systemd.ts';
import { failure } from './plans.ts';

const call = { destination: 'a.b', path: '/c', interface: 'd.e', member: 'Do', signature: 's', values: ['now'] };
const socket = '/run/socket';

type Answer = (peer: Peer, heard: Uint8Array) => void;

/** A peer that hears one write after another, and answers each by what the list has for it. */
function world(...answers: readonly Answer[]): Sim {
  let next = 0;
  return new Sim({ serves: (_, peer) => (heard) => answers[next++]?.(peer, heard) });
}
const say =
  (...texts: readonly string[]) =>
  (peer: Peer) => {
    for (const text of texts) peer.say(encodeUtf8(text));
  };
const nothing = (): void => undefined;
const handshake = [say('O', 'K 0123\r', '\n'), nothing];

async function ask(sim: Sim, times = 1): Promise<unknown> {
  const bus = await Bus.open(bounded(sim.host, { deadlineMs: 30_000 }), socket, 'private');
  try {
    let values: unknown;
    for (let i = 0; i < times; i++) values = await bus.call(call);
    return values;
  } finally {
    bus.close();
  }
}

describe('a conversation over D-Bus', () => {
  test('calls, and passes over what is no answer to it', async () => {
    const sim = world(...handshake, (peer) => {
      const other = encodeMessage('return', { replyTo: 99, signature: 's', values: ['of another'] });
      const mine = encodeMessage('return', {
        replyTo: 1,
        signature: 'ta{sv}',
        values: [7n, [['k', { signature: 'b', value: true }]]],
      });
      const all = Uint8Array.from([...encodeMessage('signal', {}), ...other, ...mine]);
      for (let at = 0; at < all.length; at += 11) peer.say(all.slice(at, at + 11));
    });
    expect(await sim.run(ask(sim))).toEqual([7n, [['k', { signature: 'b', value: true }]]]);
    expect(sim.leaks()).toEqual([]);
  });

  test('begins without a number of ours, which in a user namespace is another one', async () => {
    const heard: string[] = [];
    const note = (peer: Peer, bytes: Uint8Array, answer: string) => {
      heard.push(String.fromCharCode(...bytes));
      if (answer !== '') peer.say(encodeUtf8(answer));
    };
    const sim = world(
      (peer, bytes) => note(peer, bytes, 'DATA\r\n'),
      (peer, bytes) => note(peer, bytes, 'OK 0123\r\n'),
      (peer, bytes) => note(peer, bytes, ''),
      (peer) => peer.say(encodeMessage('return', { replyTo: 1 })),
    );
    await sim.run(ask(sim));
    expect(heard).toEqual(['\0AUTH EXTERNAL\r\n', 'DATA\r\n', 'BEGIN\r\n']);
  });

  test('a first call that came together with the end of the handshake is looked at when another comes', async () => {
    const mine = encodeMessage('return', { replyTo: 1, signature: 's', values: ['heard'] });
    const other = encodeMessage('return', { replyTo: 2 });
    const sim = world(...handshake, nothing, (peer) => {
      peer.say(mine);
      peer.say(other);
    });
    expect(await sim.run(ask(sim))).toEqual(['heard']);
    expect(sim.nowMs - 1_700_000_000_000).toBeLessThan(5000);
    expect(sim.leaks()).toEqual([]);
  });

  test('a refusal is told apart from a failure', async () => {
    const no = { replyTo: 1, error: 'org.freedesktop.DBus.Error.AccessDenied', signature: 's', values: ['not you'] };
    const sim = world(...handshake, (peer) => peer.say(encodeMessage('error', no)));
    const error = await failure(sim.run(ask(sim)));
    expect(error).toBeInstanceOf(BusError);
    expect(error).toMatchObject({ error: no.error, message: `${no.error}: not you` });
  });

  const half = encodeMessage('return', { replyTo: 1, signature: 's', values: ['more'] }).slice(0, 20);
  const stopInTheMiddle = (peer: Peer) => {
    peer.say(half);
    peer.hangUp();
  };
  const huge = encodeMessage('return', { replyTo: 1 });
  new DataView(huge.buffer).setUint32(4, 0x7fffffff, true);
  test.each<[string, readonly Answer[], RegExp]>([
    ['refuses us', [say('REJECTED EXTERNAL\r\n')], /does not let us in: REJECTED/],
    ['is no bus at all', [say('HTTP/1.1 400 Bad Request', 'x'.repeat(2000))], /says what no bus says/],
    ['hangs up at once', [(peer) => peer.hangUp()], /closed the connection at AUTH/],
    ['says nothing', [nothing], /no end after 25000 ms of AUTH/],
    ['does not answer', [...handshake, nothing], /no end after 25000 ms of Do over D-Bus/],
    ['hangs up instead of an answer', [...handshake, (peer) => peer.hangUp()], /closed the connection at Do/],
    ['stops in the middle', [...handshake, (peer) => peer.say(half)], /no end after 25000 ms of Do/],
    ['hangs up in the middle', [...handshake, stopInTheMiddle], /closed the connection at Do/],
    ['sends what is no message', [...handshake, say('x'.repeat(64))], /sent what is no message/],
    ['sends what is too long', [...handshake, (peer) => peer.say(huge)], /a message of 2147483\d+ bytes/],
  ])('ends when the other side %s', async (_, answers, message) => {
    const sim = world(...answers);
    expect(await failure(sim.run(ask(sim)))).toMatchObject({ message: expect.stringMatching(message) });
    await sim.settle();
    expect(sim.leaks()).toEqual([]);
    expect(sim.nowMs - 1_700_000_000_000).toBeLessThan(60_000);
  });

  test('ends soon after a cancellation', async () => {
    const sim = world(...handshake, () => sim.canceler.abort(new Error('enough')));
    const host = bounded(sim.host, { deadlineMs: 30_000, cancel: sim.signal });
    const work = Bus.open(host, socket, 'private').then((bus) => bus.call(call).finally(() => bus.close()));
    expect(await failure(sim.run(work))).toMatchObject({ code: 'ERR_CANCELED' });
    expect(sim.nowMs - 1_700_000_000_000).toBeLessThan(5000);
    await sim.settle();
    expect(sim.leaks()).toEqual([]);
  });

  test('is over after a call that was not answered: the next answer could be that of the last', async () => {
    const sim = world(...handshake, nothing, (peer) => peer.say(encodeMessage('return', { replyTo: 2 })));
    const work = async () => {
      const bus = await Bus.open(sim.host, socket, 'private');
      await failure(bus.call(call));
      return bus.call(call).finally(() => bus.close());
    };
    expect(String(await failure(sim.run(work())))).not.toContain('no end after');
  });
});

describe('values on the wire', () => {
  test('each is at a multiple of its alignment, and read as it was written', () => {
    const values = ['é', 'u', 5n, [['k', { signature: 'ay', value: [1, 2, 3] }]], -1n, true, [[1, 'x']]] as const;
    const bytes = encodeCall({ ...call, signature: 'sgta{sv}xba(us)', values }, 9);
    const body = bytes.length - new DataView(bytes.buffer).getUint32(4, true);
    expect(body % 8).toBe(0);
    expect(new Reader(bytes.slice(body), true).all('sgta{sv}xba(us)')).toEqual(values);
  });

  test.each<[string, number[]]>([
    ['as', [8, 0, 0, 0, 9, 0, 0, 0, 120, 120, 120, 0]],
    ['as', [255, 255, 255, 255, 0, 0, 0, 0]],
    ['au', [6, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0]],
    ['v', [1, 40, 0, 0]],
    ['v', [200, 97]],
    ['s', [255, 0, 0, 0]],
    ['v', Array.from({ length: 70 }, () => [1, 118, 0]).flat()],
    ['z', [0]],
    ['()', [0]],
  ])('%s of bytes that are none is refused', (signature, bytes) => {
    expect(() => new Reader(Uint8Array.from(bytes), true).all(signature)).toThrow(RangeError);
  });
});
