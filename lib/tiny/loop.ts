import { call, errno, must, system } from './system.ts';

export const readable = 1;
export const writable = 4;
/** An error or the other end's end counts as something to read: reading then tells. */
const failed = 8 | 16 | 32;

/** A descriptor on the event loop; it stays its owner's. */
export interface Watched {
  readonly fd: number;
  /** `readable` and `writable`, or 0: nothing for now. */
  events: number;
  /** Whether it keeps the loop going. */
  alive: boolean;
  /** Heard of after all others that are ready: what they tell came before it. */
  late: boolean;
  readonly ready: (events: number) => void;
}

interface Timer {
  readonly at: number;
  readonly fire: () => void;
}

const watched = new Set<Watched>();
const timers = new Set<Timer>();

export function watch(fd: number, events: number, ready: (events: number) => void): Watched {
  const entry = { fd, events, alive: true, late: false, ready };
  watched.add(entry);
  return entry;
}

export const forget = (entry: Watched): void => void watched.delete(entry);

export function after(ms: number): { readonly done: Promise<void>; cancel(): void } {
  let timer: Timer | undefined;
  const done = new Promise<void>((resolve) => {
    timer = { at: system.now() + ms, fire: resolve };
    timers.add(timer);
  });
  return { done, cancel: () => void (timer && timers.delete(timer)) };
}

export const sleep = (ms: number): Promise<void> => after(ms).done;

/** Until a descriptor is ready, without the loop: for the few writes that must not be left. */
export function block(fd: number, events: number): void {
  const one = new Uint8Array(8);
  fill(new DataView(one.buffer), 0, fd, events);
  call.ppoll(one, 1, 0, 0, 0);
}

/** Runs until nothing keeps it going. */
export function runLoop(): void {
  for (;;) {
    system.jobs();
    fireTimers();
    const waiting = [...watched].filter((each) => each.events !== 0);
    if (timers.size === 0 && !waiting.some((each) => each.alive)) return;
    turn(waiting);
  }
}

function turn(waiting: readonly Watched[]): void {
  const bytes = new Uint8Array(8 * waiting.length);
  const fields = new DataView(bytes.buffer);
  for (const [i, { fd, events }] of waiting.entries()) fill(fields, i * 8, fd, events);
  const result = call.ppoll(bytes, waiting.length, timeout() ?? 0, 0, 0);
  if (result === -errno.intr) return;
  must(result, 'ppoll');
  const found = waiting.map((each, i) => ({ each, events: fields.getUint16(i * 8 + 6, true) }));
  for (const { each, events } of [
    ...found.filter(({ each }) => !each.late),
    ...found.filter(({ each }) => each.late),
  ]) {
    // Those before it may have closed it.
    if (events === 0 || !watched.has(each)) continue;
    each.ready(events & failed ? events | readable : events);
    system.jobs();
  }
}

/** `struct pollfd` */
function fill(fields: DataView, offset: number, fd: number, events: number): void {
  fields.setInt32(offset, fd, true);
  fields.setInt16(offset + 4, events, true);
}

function fireTimers(): void {
  if (timers.size === 0) return;
  const time = system.now();
  for (const timer of [...timers].sort((a, b) => a.at - b.at)) {
    if (timer.at > time || !timers.delete(timer)) continue;
    timer.fire();
    system.jobs();
  }
}

/** `struct timespec`, until the next timer; undefined where there is none. */
function timeout(): Uint8Array | undefined {
  if (timers.size === 0) return undefined;
  const ms = Math.max(0, Math.min(...[...timers].map((timer) => timer.at)) - system.now());
  const bytes = new Uint8Array(16);
  const fields = new DataView(bytes.buffer);
  fields.setUint32(0, Math.floor(ms / 1000), true);
  fields.setUint32(8, Math.ceil((ms % 1000) * 1e6), true);
  return bytes;
}
