import type { Errand } from '../host/host.ts';
import { openHandle } from './handle.ts';
import { type Found, LatePipe } from './late-pipe.ts';
import { type NativeHandle, type NativeLetter, native } from './native.ts';
import { NullDevice, nullPath } from './null-device.ts';

/** For as long as whoever asks keeps the messages: they are asked for again, with the same places. */
const letters = new WeakMap<Errand['messages'], NativeLetter>();
const nowhere = new Uint32Array(0);

/** What the thread that clones leaves of it. */
export function letterOf({ messages, fill }: Errand): NativeLetter {
  const known = letters.get(messages);
  if (known !== undefined) return known;
  const letter = native.letter(messages, fill?.places ?? nowhere, nullPath());
  letters.set(messages, letter);
  return letter;
}

/** A pipe that is made for it (`Native.spawn`). */
const newPipe = -1;

/** What goes with that. */
export const enclosed = ({ handles }: Errand): (NativeHandle | number)[] =>
  handles.map((handle) => {
    if (handle instanceof NullDevice) return handle.flags;
    return handle instanceof LatePipe && !handle.isMade ? newPipe : openHandle(handle);
  });

/** What was found at our ends of the pipes that were made for it. */
export function fill({ handles }: Errand, found: readonly Found[]): void {
  let next = 0;
  for (const handle of handles)
    if (handle instanceof LatePipe && !handle.isMade && next < found.length) handle.find(found[next++]);
}
