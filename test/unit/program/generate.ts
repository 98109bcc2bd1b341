// Random programs that are right by construction, over the whole table of ops.
import fc from 'fast-check';
import type { Encodable } from '../../../lib/program/encode.ts';
import { errnoName } from '../../../lib/program/errno.ts';
import { type Layout, layoutOf, layouts, type Slot } from '../../../lib/program/layout.ts';
import type { Op } from '../../../lib/program/ops.ts';

type Draw = fc.GeneratorValue;

const ordered = new Set(['pivot', 'move_root', 'seccomp', 'listener', 'no_new_privs', 'reap']);
const ordinary = layouts.filter((layout) => !layout.end && !ordered.has(layout.name));
const fallible = ordinary.filter((layout) => !layout.barrier);
const tails = [
  ['halt'],
  ['exec'],
  ['reap', 'exec'],
  ['pivot', 'hostname', 'exec'],
  ['move_root', 'hostname', 'exec'],
  ['no_new_privs', 'listener', 'send_handle', 'exec'],
  ['no_new_privs', 'seccomp', 'seccomp', 'exec'],
  ['pivot', 'seccomp', 'ids', 'capabilities', 'exec'],
] as const;

const noNul = (text: string) => text.replaceAll('\0', '');
const texts = fc.string({ unit: 'binary', maxLength: 12 }).map(noNul);
const blobs = fc.uint8Array({ maxLength: 20 });
const errnos = fc.uniqueArray(fc.integer({ min: 1, max: 4095 }), { minLength: 1, maxLength: 16 });

/** A valid segment: registers are filled before their use, alternatives fill the same one. */
export const segments: fc.Arbitrary<Encodable> = fc.gen().map((draw) => {
  const inputs = Array.from({ length: draw(fc.nat, { max: 3 }) + 1 }, (_, i) => `input${i}`);
  const program = new Program(draw, inputs);
  for (let n = draw(fc.nat, { max: 25 }); n > 0; n--) program.chunk();
  for (const name of draw(fc.constantFrom, ...tails)) program.plain(layoutOf(name) as Layout);
  return { inputs, ops: program.ops };
});

class Program {
  readonly ops: Op[] = [];
  readonly #draw: Draw;
  readonly #filled: string[];
  #names = 0;

  constructor(draw: Draw, inputs: readonly string[]) {
    this.#draw = draw;
    this.#filled = [...inputs];
  }

  chunk(): void {
    const shape = this.#draw(fc.nat, { max: 9 });
    if (shape < 6) this.plain(this.#draw(fc.constantFrom, ...ordinary));
    else if (shape < 8) this.guarded();
    else this.firstOf();
  }

  plain(layout: Layout): void {
    this.#filled.push(...this.#op(layout, {}));
  }

  /** Its registers may stay unfilled, so nothing uses them. */
  guarded(): void {
    this.#op(this.#draw(fc.constantFrom, ...fallible), { unless: this.#errnos() });
  }

  /** Up to four ways to fill one register. */
  firstOf(): void {
    const ways = this.#draw(fc.integer, { min: 2, max: 4 });
    const dst = `alternative${this.#names++}`;
    for (let left = ways - 1; left >= 0; left--) {
      const one = left > 0 ? { unless: this.#errnos(), skip: left } : {};
      const name = this.#draw(fc.constantFrom, 'open', 'clone_mount', 'open_below');
      this.#op(layoutOf(name) as Layout, one, dst);
    }
    this.#filled.push(dst);
    // And one that is skipped over as a whole.
    if (this.#draw(fc.boolean)) {
      this.#op(this.#draw(fc.constantFrom, ...fallible), { unless: this.#errnos(), skip: 1 });
      this.#op(this.#draw(fc.constantFrom, ...fallible), {});
    }
  }

  #errnos(): string[] {
    return this.#draw(() => errnos)
      .map(errnoName)
      .filter((name) => name.startsWith('E'))
      .concat('EPERM')
      .slice(0, 16);
  }

  #op(layout: Layout, condition: { unless?: string[]; skip?: number }, dst?: string): string[] {
    const outs: string[] = [];
    const operands: Record<string, unknown> = {};
    for (const slot of layout.slots) {
      if (slot.kind === 'out') outs.push(dst ?? `r_${this.#names++}`);
      operands[slot.name] = slot.kind === 'out' ? outs[outs.length - 1] : this.#value(slot);
    }
    this.ops.push({ op: layout.name, operands, origin: `/ops/${this.ops.length}`, ...condition } as unknown as Op);
    return outs;
  }

  #register(): string {
    return this.#draw(fc.constantFrom, ...this.#filled);
  }

  #value(slot: Slot): unknown {
    const draw = this.#draw;
    const count = () => draw(fc.nat, { max: 4 });
    switch (slot.kind) {
      case 'int':
        return number(draw(fc.bigInt, { min: 0n, max: slot.max }));
      case 'flags':
        return number(draw(fc.bigInt, { min: 0n, max: slot.max }) & slot.max);
      case 'maybe':
        return draw(fc.boolean) ? this.#register() : undefined;
      case 'ins':
        return Array.from({ length: count() }, () => this.#register());
      case 'text':
        return draw(() => texts);
      case 'texts':
        return Array.from({ length: count() }, () => draw(() => texts));
      case 'bytes':
        return draw(() => blobs);
      default:
        return this.#register();
    }
  }
}

const number = (value: bigint) => (value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value);
