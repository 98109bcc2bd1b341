import type { Exit } from '../../lib/host/host.ts';
import { type DecodedProgram, decode } from '../../lib/program/decode.ts';
import { errnoNumber } from '../../lib/program/errno.ts';
import { frameBytes, frameKinds } from '../../lib/program/frames.ts';
import { layoutOf } from '../../lib/program/layout.ts';
import { type Step, steps } from '../../lib/program/ops.ts';

/** What the model init does before an op, instead of what a good one does. */
export type Misdeed =
  | { readonly kind: 'error'; readonly errno: string; readonly step?: Step; readonly detail?: string }
  | { readonly kind: 'die'; readonly exit: Exit }
  | { readonly kind: 'stall' }
  /** Sends these and goes on. */
  | { readonly kind: 'say'; readonly messages: readonly Uint8Array[]; readonly handles?: number };

/** How the model command behaves once it is executed. */
export interface Command {
  /** Ends by itself after this time; runs until it is killed unless given. */
  readonly afterMs?: number;
  readonly code?: number;
  /** Signals that it does not mind. */
  readonly ignores?: readonly number[];
  /** With a reaper: sent to the host while it runs. */
  readonly says?: readonly Uint8Array[];
  /** With a reaper: process 1 is killed without having reported anything. */
  readonly reaperDies?: boolean;
}

/** What the init can do to the world it is in. */
export interface World {
  say(bytes: Uint8Array, handles?: readonly string[]): void;
  /** Our end of the channel closes: the exec. */
  hangUp(): void;
  die(exit: Exit): void;
  mapped(): boolean;
  fork(): { readonly pid: number; readonly handle: string };
  /** Takes the next connection at the listener that came with the program, in the place of the channel; false: none came. */
  accept(then: () => void): boolean;
  /** What closes at an exec. */
  closeListener(): void;
  after(ms: number, then: () => void): void;
  readonly misdeed: (op: string, index: number) => Misdeed | undefined;
  readonly command: Command;
}

interface FrameFields {
  readonly op?: number;
  readonly code?: number;
  readonly step?: Step;
  readonly errno?: number;
  readonly tag?: number;
  readonly value?: number;
  readonly detail?: string;
}

/** A frame as native/program/format.h lays it out. */
export function frame(kind: (typeof frameKinds)[number], fields: FrameFields = {}): Uint8Array {
  const bytes = new Uint8Array(frameBytes);
  const view = new DataView(bytes.buffer);
  const detail = new TextEncoder().encode(fields.detail ?? '');
  view.setUint32(0, frameKinds.indexOf(kind) + 1, true);
  view.setUint32(8, fields.op ?? 0, true);
  view.setUint16(12, fields.code ?? 0, true);
  view.setUint16(14, steps.indexOf(fields.step ?? 'op'), true);
  view.setInt32(16, fields.errno ?? 0, true);
  view.setUint32(20, fields.tag ?? 0, true);
  view.setBigUint64(24, BigInt(fields.value ?? 0), true);
  view.setUint32(32, detail.length, true);
  bytes.set(detail, 40);
  return bytes;
}

/** The init of the model: takes a program, checks it by the rules of the real one, and answers as it would. */
export class ModelInit {
  readonly #world: World;
  #stretches: Uint8Array[] = [];
  #handles = 0;
  #program: DecodedProgram | undefined;
  #at = 0;
  #awaits: number | undefined;
  #misdone = -1;
  #reaps = false;
  /** A keeper: not the init that a test's misdeeds are for. */
  #keeps = false;
  #state: 'waiting' | 'running' | 'accepting' | 'stalled' | 'command' | 'over' = 'waiting';

  constructor(world: World) {
    this.#world = world;
  }

  receive(message: Uint8Array, handles: readonly string[]): void {
    const view = new DataView(message.buffer, message.byteOffset, message.length);
    const value = view.getUint32(4, true);
    const kind = view.getUint32(0, true);
    if (kind === 2) {
      this.#go(value, handles.length);
      return;
    }
    if (this.#op === 'keep') {
      // What it keeps and runs is nothing that the model has.
      if (kind === 4) this.#world.say(frame('sync', { tag: value }));
      if (kind === 5) this.#world.say(frame('done', { tag: value }));
      return;
    }
    this.#handles += handles.length;
    this.#stretches.push(message.subarray(8));
    const size = this.#stretches.reduce((sum, stretch) => sum + stretch.length, 0);
    if (size >= value) this.#begin(size);
  }

  /** The host closed its end. */
  hungUp(): void {
    if (this.#op === 'keep' || this.#op === 'clone_inits' || this.#op === 'fork_inits') {
      this.#at++;
      this.#run();
      return;
    }
    // Whoever made the container may go now, and whoever was to start it may have thought better of it.
    if (this.#state === 'accepting') return;
    if (this.#op === 'await_start' && this.#awaits !== undefined) {
      this.#accept(this.#awaits);
      return;
    }
    if (this.#state === 'command' && !this.#reaps) return;
    if (this.#state !== 'stalled') this.#end({ code: this.#state === 'over' ? 0 : 125, signal: undefined });
  }

  signal(number: number): void {
    if (number === 9) {
      this.#end({ code: undefined, signal: 9 });
      return;
    }
    // Process 1 of a pid namespace gets only the signals that it handles: the waiting init none, the reaper forwards.
    if (this.#state !== 'command' || this.#world.command.ignores?.includes(number)) return;
    this.#commandEnds({ code: undefined, signal: number });
  }

  #begin(size: number): void {
    const program = new Uint8Array(size);
    let at = 0;
    for (const stretch of this.#stretches) {
      program.set(stretch, at);
      at += stretch.length;
    }
    try {
      this.#program = decode(program);
      if (this.#program.inputs.length !== this.#handles) throw new Error(`${this.#handles} handles`);
    } catch (error) {
      this.#fail('verify', 'EINVAL', String(error));
      return;
    }
    this.#state = 'running';
    this.#keeps = this.#program.ops.some(({ op }) => op === 'keep');
    this.#run();
  }

  get #op(): string | undefined {
    return this.#program?.ops[this.#at]?.op;
  }

  #go(tag: number, handles: number): void {
    const wanted = this.#op === 'receive' || this.#op === 'await_start' ? 1 : 0;
    if (this.#awaits !== tag || handles !== wanted) {
      if (this.#op === 'await_start' && this.#awaits !== undefined) this.#forget(this.#awaits);
      else this.#fail('recvmsg', 'EPROTO', `go ${tag} with ${handles} handles`);
      return;
    }
    this.#awaits = undefined;
    this.#at++;
    this.#run();
  }

  #run(): void {
    const { ops, trace, failAt, failErrno } = this.#program as DecodedProgram;
    for (let op = ops[this.#at]; op !== undefined && this.#state === 'running'; op = ops[this.#at]) {
      if (failAt === this.#at) {
        this.#fail('injected', undefined, '', failErrno);
        return;
      }
      const misbehaving = this.#misdone < this.#at && !this.#keeps;
      const misdeed = misbehaving ? this.#world.misdeed(op.op, this.#at) : undefined;
      this.#misdone = this.#at;
      if (misdeed !== undefined && this.#misbehaves(misdeed)) return;
      if (this.#blocks(op.op, op.operands)) return;
      if (trace) this.#world.say(frame('trace', { op: this.#at, value: 1000 }));
      this.#at++;
    }
  }

  /** True when nothing follows. */
  #misbehaves(misdeed: Misdeed): boolean {
    switch (misdeed.kind) {
      case 'error':
        this.#fail(misdeed.step ?? 'op', misdeed.errno, misdeed.detail ?? '');
        return true;
      case 'die':
        this.#end(misdeed.exit);
        return true;
      case 'stall':
        this.#state = 'stalled';
        return true;
      case 'say':
        for (const message of misdeed.messages) {
          this.#world.say(
            message,
            Array.from({ length: misdeed.handles ?? 0 }, (_, i) => `stray ${i}`),
          );
        }
        return false;
    }
  }

  /** True when the program does not go on by itself. */
  #blocks(op: string, operands: Readonly<Record<string, unknown>>): boolean {
    const tag = Number(operands['tag']);
    switch (op) {
      case 'become_root':
        if (this.#world.mapped()) return false;
        this.#fail('setresgid', 'EINVAL', '');
        return true;
      case 'next_program':
        this.#stretches = [];
        this.#handles = 0;
        this.#program = undefined;
        this.#at = 0;
        this.#misdone = -1;
        this.#state = 'waiting';
        this.#world.say(frame('sync', { tag }));
        return true;
      case 'sync':
      case 'receive':
        this.#awaits = tag;
        this.#world.say(frame('sync', { tag }));
        return true;
      case 'await_start':
        this.#accept(tag);
        return true;
      case 'keep':
      case 'clone_inits':
      case 'fork_inits':
        return true;
      case 'send_handle':
        this.#world.say(frame('handle', { tag }), [`handle ${tag}`]);
        return false;
      case 'fork': {
        const { pid, handle } = this.#world.fork();
        this.#world.say(frame('forked', { value: pid }), [handle]);
        return false;
      }
      case 'reap':
        this.#reaps = true;
        return false;
      case 'halt':
        this.#world.say(frame('done'));
        this.#end({ code: 0, signal: undefined });
        return true;
      case 'exec':
        this.#execute();
        return true;
      default:
        return false;
    }
  }

  #accept(tag: number): void {
    this.#state = 'accepting';
    this.#awaits = undefined;
    const there = this.#world.accept(() => {
      this.#state = 'running';
      this.#awaits = tag;
      this.#world.say(frame('sync', { tag }));
    });
    if (!there) this.#fail('accept4', 'EINVAL', '');
  }

  /** Who says something else has not started us. */
  #forget(tag: number): void {
    this.#world.hangUp();
    this.#accept(tag);
  }

  #execute(): void {
    const { command } = this.#world;
    this.#state = 'command';
    this.#world.closeListener();
    if (this.#reaps) this.#world.say(frame('started'));
    else this.#world.hangUp();
    for (const bytes of this.#reaps ? (command.says ?? []) : []) this.#world.say(bytes, []);
    if (command.afterMs === undefined) return;
    this.#world.after(command.afterMs, () => {
      if (command.reaperDies) this.#end({ code: undefined, signal: 9 });
      else this.#commandEnds({ code: command.code ?? 0, signal: undefined });
    });
  }

  #commandEnds(exit: Exit): void {
    if (this.#state !== 'command') return;
    if (!this.#reaps) {
      this.#end(exit);
      return;
    }
    this.#state = 'over';
    this.#world.say(frame('exit', { value: exit.signal ?? (exit.code ?? 0) << 8 }));
  }

  #fail(step: Step, name: string | undefined, detail: string, number = errnoNumber(name ?? 'EIO')): void {
    const code = layoutOf(this.#program?.ops[this.#at]?.op ?? 'halt')?.code ?? 0;
    this.#world.say(frame('error', { op: this.#at, code, step, errno: number, detail }));
    this.#end({ code: 125, signal: undefined });
  }

  #end(exit: Exit): void {
    this.#state = 'stalled';
    this.#world.die(exit);
  }
}
