import { forget, readable, watch } from './loop.ts';
import { call, must, o } from './system.ts';

/** As lib/node/world.ts: all that is the container's to act on. */
const forwarded = [1, 2, 3, 6, 10, 12, 14, 15, 16, 18, 20, 24, 26, 29, 30, 31];
const maskBytes = 8;
const [block, unblock] = [0, 1];
const infoBytes = 128; // struct signalfd_siginfo

type Listener = (signal: number) => void;

/** Heard by a descriptor, while they are blocked. It gives each signal to one reader: so there is one for all listeners. */
interface Heard {
  readonly listeners: Set<Listener>;
  readonly stop: () => void;
}
const heard = new Map<readonly number[], Heard>();

export const onSignal = (listener: Listener): (() => void) => hear(forwarded, listener);

/** Tells of each of these signals, which nobody asks for in another list too. It does not hold the loop. */
export function hear(signals: readonly number[], listener: Listener): () => void {
  const here = heard.get(signals) ?? open(signals);
  heard.set(signals, here);
  here.listeners.add(listener);
  return () => {
    if (!here.listeners.delete(listener) || here.listeners.size > 0) return;
    heard.delete(signals);
    here.stop();
  };
}

function open(signals: readonly number[]): Heard {
  const listeners = new Set<Listener>();
  const mask = new Uint8Array(maskBytes);
  for (const signal of signals) {
    const bit = signal - 1;
    mask[bit >> 3] = (mask[bit >> 3] ?? 0) | (1 << (bit & 7));
  }
  must(call.rt_sigprocmask(block, mask, 0, maskBytes), 'rt_sigprocmask');
  const queue = must(call.signalfd4(-1, mask, maskBytes, o.nonblock | o.closeOnExec), 'signalfd');
  const info = new Uint8Array(infoBytes);
  const entry = watch(queue, readable, () => {
    if (call.read(queue, info, infoBytes) !== infoBytes) return;
    const signal = new DataView(info.buffer).getUint32(0, true);
    for (const listener of [...listeners]) listener(signal);
  });
  entry.alive = false;
  // To a command that has begun, whatever is said by then, a signal is its own; before that it cancels what is made.
  entry.late = true;
  const stop = (): void => {
    forget(entry);
    call.close(queue);
    call.rt_sigprocmask(unblock, mask, 0, maskBytes);
  };
  return { listeners, stop };
}
