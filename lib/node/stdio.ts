import { constants, fchownSync } from 'node:fs';
import { Socket } from 'node:net';
import { type Duplex, PassThrough, type Readable, type Writable } from 'node:stream';
import { RuntsError } from '../errors.ts';
import type { Handle } from '../host/host.ts';
import { errnoNumber } from '../program/errno.ts';
import { orThrow } from './failure.ts';
import { type Found, LatePipe } from './late-pipe.ts';
import { type NativeHandle, type NativeTerminal, native } from './native.ts';
import { NullDevice, nullDevice, passedOn } from './null-device.ts';

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
  /** Whoever clones makes the pipes of its output, where they need no other owner: there is one who does. */
  readonly late?: boolean | undefined;
}

export interface Stdio {
  /** For the registers of stdin, stdout and stderr; the caller's to close once they are sent. */
  readonly handles: readonly [Handle, Handle, Handle];
  /** Our ends, where the target was `pipe`. They hold the event loop unless `unref` is called. */
  readonly stdin: (Writable & Holding) | undefined;
  readonly stdout: (Readable & Holding) | undefined;
  readonly stderr: (Readable & Holding) | undefined;
  /** Whether there is anything to be read. */
  isRead(number: 1 | 2): boolean;
  /** Reads what is written to one that is a pipe, in the place of its stream; fulfilled at its end, undefined where that is reached. */
  read(number: 1 | 2, take: (bytes: Uint8Array) => void): Promise<void> | undefined;
  /** Closes all of it: for a container that did not come to be. */
  close(): void;
}

const again = errnoNumber('EAGAIN');
/** Somebody who writes as fast as we read is read in turns of the event loop. */
const readsAtOnce = 16;

/** A stream that can hold the event loop, or let it end. */
export interface Holding {
  ref(): unknown;
  unref(): unknown;
}

/** The descriptors of a new process's standard streams, and the streams at our end. */
export function openStdio(spec: StdioSpec): Stdio {
  const { stdin, stdout, stderr } = spec;
  checkTarget(stdin);
  checkTarget(stdout);
  checkTarget(stderr);
  const opened: Stream[] = [];
  try {
    opened.push(openStream(stdin, 0, spec));
    opened.push(openStream(stdout, 1, spec));
    opened.push(openStream(stderr, 2, spec));
    return new Streams(opened as [Stream, Stream, Stream]);
  } catch (error) {
    for (const stream of opened) stream.close();
    throw error;
  }
}

class Streams implements Stdio {
  readonly handles: Stdio['handles'];
  readonly #all: readonly [Stream, Stream, Stream];

  constructor(all: readonly [Stream, Stream, Stream]) {
    this.#all = all;
    this.handles = [all[0].handle, all[1].handle, all[2].handle];
  }

  get stdin(): (Duplex & Holding) | undefined {
    return this.#all[0].ours;
  }

  get stdout(): (Duplex & Holding) | undefined {
    return this.#all[1].ours;
  }

  get stderr(): (Duplex & Holding) | undefined {
    return this.#all[2].ours;
  }

  isRead(number: 1 | 2): boolean {
    return this.#all[number] instanceof Pipe;
  }

  read(number: 1 | 2, take: (bytes: Uint8Array) => void): Promise<void> | undefined {
    return this.#all[number].read(take);
  }

  close(): void {
    for (const stream of this.#all) stream.close();
  }
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

/** One of the three. */
interface Stream {
  readonly handle: Handle;
  readonly ours: (Duplex & Holding) | undefined;
  read(take: (bytes: Uint8Array) => void): Promise<void> | undefined;
  close(): void;
}

/** One that leads where none of us is. */
class Elsewhere implements Stream {
  readonly handle: Handle;

  constructor(handle: Handle) {
    this.handle = handle;
  }

  get ours(): undefined {
    return undefined;
  }

  read(): undefined {
    return undefined;
  }

  close(): void {
    this.handle.close();
  }
}

/** A pipe. The stream at our end is made when it is asked for, while whoever starts the command has begun to. */
class Pipe implements Stream {
  readonly handle: Handle;
  readonly #reads: boolean;
  readonly #late: LatePipe | undefined;
  #end: NativeHandle | undefined;
  #stream: (Duplex & Holding) | undefined;
  #reader: NativeTerminal | undefined;

  constructor(reads: boolean, { owner, late }: Pick<StdioSpec, 'owner' | 'late'>) {
    this.#reads = reads;
    if (late === true && reads && owner === undefined) {
      this.#late = new LatePipe();
      this.handle = this.#late;
      return;
    }
    const { ours, theirs } = orThrow(native.pipe(reads));
    if (owner !== undefined) fchownSync(theirs.fd, owner.uid, owner.gid);
    this.handle = theirs;
    this.#end = ours;
  }

  get ours(): (Duplex & Holding) | undefined {
    const found = this.#take();
    if (found instanceof Uint8Array) this.#stream = new Written(found);
    else if (found !== undefined) this.#stream = pipeStream(found, this.#reads);
    else if (this.#late !== undefined) this.#stream ??= new Written(undefined);
    return this.#stream;
  }

  /** A tenth of what a stream costs: most commands write little, and are over at once. */
  read(take: (bytes: Uint8Array) => void): Promise<void> | undefined {
    const end = this.#take();
    if (end instanceof Uint8Array) take(end);
    if (end === undefined || end instanceof Uint8Array) return undefined;
    // Of a command that is over all is there.
    for (let i = 0; i < readsAtOnce; i++) {
      const found = native.readNow(end);
      if (found === again) break;
      if (typeof found === 'number') {
        end.close();
        return undefined;
      }
      take(found);
    }
    return new Promise<void>((resolve) => {
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
    this.#late?.drop();
    this.#end?.close();
    this.#reader?.close();
    this.#stream?.destroy();
  }

  #take(): Found {
    if (this.#late !== undefined) return this.#late.take();
    const end = this.#end;
    this.#end = undefined;
    return end;
  }
}

/** The stream of a pipe that is read to its end. */
class Written extends PassThrough implements Holding {
  constructor(bytes: Uint8Array | undefined) {
    super();
    this.end(bytes);
  }

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }
}

function openStream(target: StdioTarget, number: number, spec: StdioSpec): Stream {
  if (target === 'pipe') return new Pipe(number > 0, spec);
  // Each end has its own direction only, as a shell would have opened it.
  if (target === 'ignore') return new Elsewhere(new NullDevice(number === 0 ? constants.O_RDONLY : constants.O_WRONLY));
  return new Elsewhere(passedOn(target === 'inherit' ? number : target));
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
