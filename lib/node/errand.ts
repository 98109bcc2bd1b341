import type { Errand } from '../host/host.ts';
import { openHandle } from './handle.ts';
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

/** What goes with that. */
export const enclosed = ({ handles }: Errand): (NativeHandle | number)[] =>
  handles.map((handle) => (handle instanceof NullDevice ? handle.flags : openHandle(handle)));
