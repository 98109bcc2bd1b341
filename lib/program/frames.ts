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
const detailOffset = 40;
export const frameKinds = ['forked', 'sync', 'handle', 'trace', 'done', 'started', 'exit', 'error'] as const;

/** Reads one frame. What comes after the exec of the command is not trusted more than the command: all is checked. */
export function decodeFrame(bytes: Uint8Array): Frame {
  if (bytes.length !== frameBytes) throw broken(`${bytes.length} bytes`);
  return frameAt(bytes, viewOf(bytes), 0);
}

/** Reads frames that come one after the other. */
export function decodeFrames(bytes: Uint8Array): Frame[] {
  if (bytes.length % frameBytes !== 0) throw broken(`${bytes.length % frameBytes} bytes`);
  const view = viewOf(bytes);
  const frames: Frame[] = [];
  for (let at = 0; at < bytes.length; at += frameBytes) frames.push(frameAt(bytes, view, at));
  return frames;
}

const viewOf = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.length);

function frameAt(bytes: Uint8Array, view: DataView, at: number): Frame {
  const kind = frameKinds[view.getUint32(at, true) - 1];
  const index = view.getUint32(at + 8, true);
  const tag = view.getUint32(at + 20, true);
  const valueAt = at + 24;
  const detailAt = at + detailOffset;
  switch (kind) {
    case 'forked':
      return { kind, pid: Number(view.getBigUint64(valueAt, true)), errno: view.getInt32(at + 16, true) };
    case 'sync':
    case 'handle':
    case 'done':
      return { kind, tag };
    case 'trace':
      return { kind, op: index, ns: view.getBigUint64(valueAt, true) };
    case 'started':
      return { kind };
    case 'exit':
      return { kind, status: view.getUint32(valueAt, true) };
    case 'error': {
      const length = Math.min(view.getUint32(at + 32, true), frameBytes - detailOffset);
      const step = steps[view.getUint16(at + 14, true)];
      if (step === undefined) throw broken('an unknown step');
      return {
        kind,
        tag,
        index,
        op: opNames[view.getUint16(at + 12, true)],
        step,
        errno: view.getInt32(at + 16, true),
        detail: decodeUtf8(bytes.subarray(detailAt, detailAt + length)),
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
