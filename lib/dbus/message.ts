import { Reader } from './read.ts';
import type { Value, Variant } from './types.ts';
import { Writer } from './write.ts';

/** A method to call. */
export interface Call {
  readonly destination: string;
  readonly path: string;
  readonly interface: string;
  readonly member: string;
  readonly signature: string;
  readonly values: readonly Value[];
}

/** What came in. */
export interface Message {
  readonly kind: 'call' | 'return' | 'error' | 'signal';
  /** The serial of the call that this answers. */
  readonly replyTo: number | undefined;
  readonly member: string | undefined;
  readonly path: string | undefined;
  /** Of an error: `org.freedesktop.DBus.Error.AccessDenied`. */
  readonly error: string | undefined;
  readonly values: readonly Value[];
}

const kinds = ['call', 'return', 'error', 'signal'] as const;
/** Numbers of header fields (D-Bus Specification, "Header Fields"). */
const fields = { path: 1, interface: 2, member: 3, error: 4, replyTo: 5, destination: 6, signature: 8 } as const;
const little = 'l'.charCodeAt(0);
const big = 'B'.charCodeAt(0);
/** Length of what says how long the rest is. */
const fixedBytes = 16;
/** More than any answer that is asked for here has. (The specification allows eight times as much.) */
const messageBytesMax = 16 * 1024 * 1024;

export function encodeCall(call: Call, serial: number): Uint8Array {
  const body = new Writer().all(call.signature, call.values).bytes();
  const field = (number: number, signature: string, value: string): Value => [number, { signature, value }];
  const header: Value[] = [
    field(fields.path, 'o', call.path),
    field(fields.interface, 's', call.interface),
    field(fields.member, 's', call.member),
    field(fields.destination, 's', call.destination),
    ...(call.signature === '' ? [] : [field(fields.signature, 'g', call.signature)]),
  ];
  const writer = new Writer().byte(little).byte(1).byte(0).byte(1).u32(body.length).u32(serial);
  writer.value('a(yv)', header);
  writer.align(8).append(body);
  return writer.bytes();
}

/** How many bytes the message has that these begin; undefined when they are too few to tell. */
export function messageLength(bytes: Uint8Array): number | undefined {
  if (bytes.length < fixedBytes) return undefined;
  const isLittle = byteOrder(bytes);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const headerBytes = view.getUint32(12, isLittle);
  const length = fixedBytes + Math.ceil(headerBytes / 8) * 8 + view.getUint32(4, isLittle);
  if (length > messageBytesMax) throw new RangeError(`a message of ${length} bytes`);
  return length;
}

/** One whole message. */
export function decodeMessage(bytes: Uint8Array): Message {
  const reader = new Reader(bytes, byteOrder(bytes), 12);
  const found = new Map<number, Value>();
  for (const entry of reader.value('a(yv)') as readonly (readonly [number, Variant])[])
    found.set(entry[0], entry[1].value);
  reader.align(8);
  const kind = kinds[(bytes[1] as number) - 1];
  if (kind === undefined) throw new RangeError(`a message of the kind ${bytes[1]}`);
  const text = (field: number): string | undefined => {
    const value = found.get(field);
    if (value !== undefined && typeof value !== 'string') throw new RangeError(`header field ${field} is no text`);
    return value;
  };
  const replyTo = found.get(fields.replyTo);
  if (replyTo !== undefined && typeof replyTo !== 'number') throw new RangeError('a serial that is no number');
  return {
    kind,
    replyTo,
    member: text(fields.member),
    path: text(fields.path),
    error: text(fields.error),
    values: reader.all(text(fields.signature) ?? ''),
  };
}

function byteOrder(bytes: Uint8Array): boolean {
  if (bytes[0] === little) return true;
  if (bytes[0] === big) return false;
  throw new RangeError('a message that begins with no byte order');
}
