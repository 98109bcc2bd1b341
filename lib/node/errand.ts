import type { Errand, Handle } from '../host/host.ts';
import { openHandle } from './handle.ts';
import { type NativeErrand, type NativeHandle, type NativeLetter, native } from './native.ts';
import { NullDevice, nullPath } from './null-device.ts';

/** For as long as whoever asks keeps the messages: they are asked for again, with the same places. */
const letters = new WeakMap<Errand['messages'], NativeLetter>();
const nowhere = new Uint32Array(0);

/** An errand for the thread that clones. */
export function nativeErrand({ messages, handles, fill }: Errand): NativeErrand {
  return { letter: letterOf(messages, fill), handles: handles.map(nativeOf), text: fill?.text };
}

function letterOf(messages: Errand['messages'], fill: Errand['fill']): NativeLetter {
  const known = letters.get(messages);
  if (known !== undefined) return known;
  const letter = native.letter(messages, fill?.places ?? nowhere, nullPath());
  letters.set(messages, letter);
  return letter;
}

const nativeOf = (handle: Handle): NativeHandle | number =>
  handle instanceof NullDevice ? handle.flags : openHandle(handle);
