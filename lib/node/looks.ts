import type { Look } from '../host/host.ts';
import { type NativeLook, type NativeLooks, native } from './native.ts';

/** For as long as whoever asks keeps them: they are asked for again. */
const made = new WeakMap<readonly Look[], NativeLooks>();

export function nativeLooks(looks: readonly Look[]): NativeLooks {
  const known = made.get(looks);
  if (known !== undefined) return known;
  const own = native.looks(looks.map(asNative));
  made.set(looks, own);
  return own;
}

function asNative(look: Look): NativeLook {
  const { path } = look;
  if (look.at === 'straight') return { path, straight: true };
  const bytes = look.text === undefined ? {} : { bytes: Buffer.from(look.text) };
  return look.at === 'below' ? { path, root: look.root, ...bytes } : { path, ...bytes };
}
