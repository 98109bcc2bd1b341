import { type Encodable, type EncodeOptions, encode } from './encode.ts';

/** What segments are as bytes, where that is known without encoding them. */
const known = new WeakMap<Encodable, () => Uint8Array>();

/** Remembers how a segment is got as bytes. */
export const remember = (segment: Encodable, bytes: () => Uint8Array): void => void known.set(segment, bytes);

/** A segment as the init reads it: those of a plan that was made before are encoded already. */
export function encoded(segment: Encodable, options: EncodeOptions = {}): Uint8Array {
  const plain = options.failAt === undefined && options.trace !== true;
  return (plain && known.get(segment)?.()) || encode(segment, options);
}
