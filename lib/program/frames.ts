import { RuntsError } from '../errors.ts';
import { limits } from './limits.ts';
import { type OpName, opNames, type Step, steps } from './ops.ts';
import { decodeUtf8 } from './utf8.ts';

/** What the init says to the host: 320 bytes, the same layout for each kind (native/program/format.h). */
export type Frame =
  /** `errno`: of an init that a zygote has cloned, why its id maps could not be written; else 0. */
  | { readonly kind: 'forked'; readonly pid: number; readonly errno: number }
  | { readonly kind: 'sync'; readonly tag: number }
  | { readonly kind: 'handle'; readonly tag: number }
  | { readonly kind: 'trace'; readonly op: number; readonly ns: bigint }
  /** `tag`: of a keeper, the number of what it speaks of; else 0. */
  | { readonly kind: 'done'; readonly tag: number }
  /** The command under a reaper was exec'd. */
  | { readonly kind: 'started' }
  /** The command under a reaper ended: a wait status as in wait(2). */
  | { readonly kind: 'exit'; readonly status: number }
  | {
      readonly kind: 'error';
      /** As in `done`. */
      readonly tag: number;
      readonly index: number;
      readonly op: OpName | undefined;
      readonly step: Step;
      readonly errno: number;
      readonly detail: string;
    };

export const frameBytes = 320;
const detailAt = 40;
export const frameKinds = ['forked', 'sync', 'handle', 'trace', 'done', 'started', 'exit', 'error'] as const;

/** Reads one frame. What comes after the exec of the command is not trusted more than the command: all is checked. */
export function decodeFrame(bytes: Uint8Array): Frame {
  if (bytes.length !== frameBytes) throw broken(`${bytes.length} bytes`);
  return frameAt(new Bytes(bytes), 0);
}

/** Reads frames one after the other, each of their bytes a character (Latin-1). */
export function decodeFrames(text: string): Frame[] {
  if (text.length % frameBytes !== 0) throw broken(`${text.length % frameBytes} bytes`);
  const source = new Characters(text);
  const frames: Frame[] = [];
  for (let at = 0; at < text.length; at += frameBytes) frames.push(frameAt(source, at));
  return frames;
}

/** What frames are read from; every number is little-endian. */
interface Source {
  u16(at: number): number;
  u32(at: number): number;
  u64(at: number): bigint;
  slice(at: number, length: number): Uint8Array;
}

class Bytes implements Source {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  u16(at: number): number {
    return this.#view.getUint16(at, true);
  }

  u32(at: number): number {
    return this.#view.getUint32(at, true);
  }

  u64(at: number): bigint {
    return this.#view.getBigUint64(at, true);
  }

  slice(at: number, length: number): Uint8Array {
    return this.#bytes.subarray(at, at + length);
  }
}

/** Without an array of their bytes, and a view of that, which take longer to be made than all that is read. */
class Characters implements Source {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  u16(at: number): number {
    return this.#text.charCodeAt(at) | (this.#text.charCodeAt(at + 1) << 8);
  }

  u32(at: number): number {
    return (this.u16(at) | (this.u16(at + 2) << 16)) >>> 0;
  }

  u64(at: number): bigint {
    return (BigInt(this.u32(at + 4)) << 32n) | BigInt(this.u32(at));
  }

  slice(at: number, length: number): Uint8Array {
    return Uint8Array.from({ length }, (_, i) => this.#text.charCodeAt(at + i));
  }
}

function frameAt(from: Source, at: number): Frame {
  const kind = frameKinds[from.u32(at) - 1];
  switch (kind) {
    case 'forked':
      return { kind, pid: Number(from.u64(at + 24)), errno: from.u32(at + 16) | 0 };
    case 'sync':
    case 'handle':
    case 'done':
      return { kind, tag: from.u32(at + 20) };
    case 'trace':
      return { kind, op: from.u32(at + 8), ns: from.u64(at + 24) };
    case 'started':
      return { kind };
    case 'exit':
      return { kind, status: from.u32(at + 24) };
    case 'error': {
      const step = steps[from.u16(at + 14)];
      if (step === undefined) throw broken('an unknown step');
      return {
        kind,
        tag: from.u32(at + 20),
        index: from.u32(at + 8),
        op: opNames[from.u16(at + 12)],
        step,
        errno: from.u32(at + 16) | 0,
        detail: decodeUtf8(from.slice(at + detailAt, Math.min(from.u32(at + 32), frameBytes - detailAt))),
      };
    }
    default:
      throw broken('an unknown kind');
  }
}

const broken = (what: string) => new RuntsError('ERR_INTERNAL', `the init sent a frame with ${what}`);

const messageKinds = { segment: 1, go: 2, clone: 3, keep: 4, run: 5, forget: 6 } as const;

/** A program as messages: each an 8-byte header (kind, total) and at most limits.messageBytesMax bytes. */
export function segmentMessages(program: Uint8Array): Uint8Array[] {
  const messages: Uint8Array[] = [];
  for (let at = 0; at < program.length; at += limits.messageBytesMax) {
    messages.push(message(messageKinds.segment, program.length, program.subarray(at, at + limits.messageBytesMax)));
  }
  return messages;
}

/** The answer to a SYNC frame. */
export function goMessage(tag: number): Uint8Array {
  return message(messageKinds.go, tag, new Uint8Array(0));
}

/** Asks a zygote for an init with these CLONE_NEW* flags; handles go with it, its channel and maybe its cgroup. */
export function cloneMessage(flags: number): Uint8Array {
  return message(messageKinds.clone, flags, new Uint8Array(0));
}

/** Has a keeper keep a program under a number; its handle goes with it. A SYNC frame of the number is the answer. */
export function keepMessage(number: number, program: Uint8Array): Uint8Array {
  return message(messageKinds.keep, number, program);
}

/** Has a keeper run what it keeps under a number. A DONE or an ERROR frame of the number is the answer. */
export function runMessage(number: number): Uint8Array {
  return message(messageKinds.run, number, new Uint8Array(0));
}

/** Has a keeper forget what it keeps under a number. */
export function forgetMessage(number: number): Uint8Array {
  return message(messageKinds.forget, number, new Uint8Array(0));
}

function message(kind: number, value: number, body: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(8 + body.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, kind, true);
  view.setUint32(4, value, true);
  bytes.set(body, 8);
  return bytes;
}
