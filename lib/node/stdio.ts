import { constants, fchownSync } from 'node:fs';
import { Socket } from 'node:net';
import type { Readable, Writable } from 'node:stream';
import { RuntsError } from '../errors.ts';
import type { Handle } from '../host/host.ts';
import { orThrow } from './failure.ts';
import { type NativeHandle, type NativeTerminal, native } from './native.ts';
import { nullDevice, passedOn } from './null-device.ts';

/** Where a standard stream leads: nowhere, to a stream of ours, to our own, or to a descriptor of ours. */
export type StdioTarget = 'ignore' | 'pipe' | 'inherit' | number;

export interface StdioSpec {
  readonly stdin: StdioTarget;
  readonly stdout: StdioTarget;
  readonly stderr: StdioTarget;
  /**
   * Who owns the pipes that are made, in ids of the host: a command that opens /dev/stdout anew needs to. Only root can
   * give files away; for others the init does it, inside the user namespace.
   */
  readonly owner?: { readonly uid: number; readonly gid: number } | undefined;
}

export interface Stdio {
  /** For the registers of stdin, stdout and stderr; the caller's to close once they are sent. */
  readonly handles: readonly [Handle, Handle, Handle];
  /** Our ends, where the target was `pipe`. They hold the event loop unless `unref` is called. */
  readonly stdin: (Writable & Holding) | undefined;
  readonly stdout: (Readable & Holding) | undefined;
  readonly stderr: (Readable & Holding) | undefined;
  /** Reads what is written to one that is a pipe, in the place of its stream; fulfilled at its end. */
  read(number: 1 | 2, take: (bytes: Uint8Array) => void): Promise<void>;
  /** Closes all of it: for a container that did not come to be. */
  close(): void;
}

/** A stream that can hold the event loop, or let it end. */
export interface Holding {
  ref(): unknown;
  unref(): unknown;
}

/** The descriptors of a new process's standard streams, and the streams at our end. */
export function openStdio(spec: StdioSpec): Stdio {
  const targets = [spec.stdin, spec.stdout, spec.stderr] as const;
  for (const target of targets) checkTarget(target);
  const opened: Stream[] = [];
  const close = () => {
    for (const stream of opened) stream.close();
  };
  try {
    for (const [number, target] of targets.entries()) opened.push(openStream(target, number, spec.owner));
  } catch (error) {
    close();
    throw error;
  }
  const [stdin, stdout, stderr] = opened as [Stream, Stream, Stream];
  return {
    handles: [stdin.handle, stdout.handle, stderr.handle],
    get stdin() {
      return stdin.ours;
    },
    get stdout() {
      return stdout.ours;
    },
    get stderr() {
      return stderr.ours;
    },
    read: (number, take) => opened[number]!.read(take),
    close,
  };
}

/** The streams of a command whose output somebody else reads: no input, and both ends of two pipes. */
export function openForOthers(owner: StdioSpec['owner']): {
  readonly handles: Stdio['handles'];
  readonly stdout: Handle;
  readonly stderr: Handle;
  close(): void;
} {
  const opened: Handle[] = [];
  const kept = <T extends Handle>(handle: T): T => {
    opened.push(handle);
    return handle;
  };
  const pipe = () => {
    const { ours, theirs } = orThrow(native.pipe(true));
    kept(ours);
    kept(theirs);
    if (owner !== undefined) fchownSync(theirs.fd, owner.uid, owner.gid);
    return { ours, theirs };
  };
  const close = (): void => {
    for (const handle of opened) handle.close();
  };
  try {
    const stdin = kept(nullDevice(constants.O_RDONLY));
    const [stdout, stderr] = [pipe(), pipe()] as const;
    return { handles: [stdin, stdout.theirs, stderr.theirs], stdout: stdout.ours, stderr: stderr.ours, close };
  } catch (error) {
    close();
    throw error;
  }
}

/** One of the three, and the stream at our end: made when it is asked for, while whoever starts the command has begun to. */
class Stream {
  readonly handle: Handle;
  readonly #reads: boolean;
  #end: NativeHandle | undefined;
  #socket: Socket | undefined;
  #reader: NativeTerminal | undefined;

  constructor(handle: Handle, end?: NativeHandle, reads = false) {
    this.handle = handle;
    this.#end = end;
    this.#reads = reads;
  }

  get ours(): Socket | undefined {
    if (this.#end !== undefined) this.#socket = pipeStream(this.#end, this.#reads);
    this.#end = undefined;
    return this.#socket;
  }

  /** A tenth of what a stream costs: most commands write little, and are over at once. */
  async read(take: (bytes: Uint8Array) => void): Promise<void> {
    const end = this.#end;
    if (end === undefined) return;
    this.#end = undefined;
    await new Promise<void>((resolve) => {
      this.#reader = new native.Terminal(
        end,
        take,
        () => resolve(),
        () => {},
      );
      this.#reader.read(true);
    });
  }

  close(): void {
    this.handle.close();
    this.#end?.close();
    this.#reader?.close();
    this.#socket?.destroy();
  }
}

function openStream(target: StdioTarget, number: number, owner: StdioSpec['owner']): Stream {
  if (target === 'pipe') return openPipe(number > 0, owner);
  // Each end has its own direction only, as a shell would have opened it.
  if (target === 'ignore') return new Stream(nullDevice(number === 0 ? constants.O_RDONLY : constants.O_WRONLY));
  return new Stream(passedOn(target === 'inherit' ? number : target));
}

function openPipe(oursReads: boolean, owner: StdioSpec['owner']): Stream {
  const { ours, theirs } = orThrow(native.pipe(oursReads));
  if (owner !== undefined) fchownSync(theirs.fd, owner.uid, owner.gid);
  return new Stream(theirs, ours, oursReads);
}

function pipeStream(end: NativeHandle, readable: boolean): Socket {
  return new Socket({ fd: end.release(), readable, writable: !readable });
}

function checkTarget(target: StdioTarget): void {
  if (target === 'ignore' || target === 'pipe' || target === 'inherit') return;
  if (typeof target === 'number' && Number.isInteger(target) && target >= 0 && target <= 0x7fffffff) return;
  throw new RuntsError(
    'ERR_SPEC',
    `stdio is 'ignore', 'pipe', 'inherit' or a descriptor, not ${JSON.stringify(target)}`,
  );
}
