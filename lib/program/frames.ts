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
  return frameAt(bytes, byteIn, 0);
}

/** Most inits say what the last one said. */
let last: { readonly text: string; readonly frames: readonly Frame[] } = { text: '', frames: [] };

/** Reads frames one after the other, each of their bytes a character (Latin-1). */
export function decodeFrames(text: string): readonly Frame[] {
  if (text === last.text) return last.frames;
  const frames = framesIn(text);
  last = { text, frames };
  return frames;
}

function framesIn(text: string): Frame[] {
  if (text.length % frameBytes !== 0) throw broken(`${text.length % frameBytes} bytes`);
  const frames: Frame[] = [];
  for (let at = 0; at < text.length; at += frameBytes) frames.push(frameAt(text, byteOf, at));
  return frames;
}

const byteIn = (bytes: Uint8Array, at: number) => bytes[at]!;
const byteOf = (text: string, at: number) => text.charCodeAt(at);

/** By single bytes: a DataView takes longer to be made than all that is read. */
function frameAt<T>(from: T, byte: (from: T, at: number) => number, at: number): Frame {
  const u16 = (of: number) => byte(from, at + of) | (byte(from, at + of + 1) << 8);
  const u32 = (of: number) => (u16(of) | (u16(of + 2) << 16)) >>> 0;
  const u64 = (of: number) => (BigInt(u32(of + 4)) << 32n) | BigInt(u32(of));
  const kind = frameKinds[u32(0) - 1];
  switch (kind) {
    case 'forked':
      return { kind, pid: Number(u64(24)), errno: u32(16) | 0 };
    case 'sync':
    case 'handle':
    case 'done':
      return { kind, tag: u32(20) };
    case 'trace':
      return { kind, op: u32(8), ns: u64(24) };
    case 'started':
      return { kind };
    case 'exit':
      return { kind, status: u32(24) };
    case 'error': {
      const length = Math.min(u32(32), frameBytes - detailAt);
      const step = steps[u16(14)];
      if (step === undefined) throw broken('an unknown step');
      return {
        kind,
        tag: u32(20),
        index: u32(8),
        op: opNames[u16(12)],
        step,
        errno: u32(16) | 0,
        detail: decodeUtf8(Uint8Array.from({ length }, (_, i) => byte(from, at + detailAt + i))),
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
