import { RuntsError } from '../errors.ts';
import type { Slot } from './layout.ts';
import { limits } from './limits.ts';
import type { Op } from './ops.ts';
import { broken, tooMany } from './refused.ts';

interface Definition {
  readonly number: number;
  readonly op: number;
  /** The last op that every definer so far jumps over when it succeeds: up to there, an alternative may define it too. */
  readonly alternativesUntil: number;
}

/** Numbers for the names of registers: the inputs in their order, then each name as an op first fills it. */
export class Registers {
  readonly #known = new Map<string, Definition>();
  #count = 0;

  constructor(inputs: readonly string[]) {
    if (inputs.length > limits.handlesMax) {
      throw new RuntsError('ERR_INTERNAL', `${inputs.length} inputs: a message carries ${limits.handlesMax} handles`);
    }
    for (const name of inputs) this.#known.set(name, { number: this.#count++, op: -1, alternativesUntil: -1 });
    if (this.#known.size !== inputs.length) throw new RuntsError('ERR_INTERNAL', 'two inputs have the same name');
  }

  get count(): number {
    return this.#count;
  }

  /** The number of a register that an input or an earlier op has filled. */
  use(name: unknown, slot: Slot, op: Op): number {
    const known = this.#known.get(name as string);
    if (known === undefined) throw broken(op, `uses register ${String(name)} in ${slot.name}, which nothing filled`);
    return known.number;
  }

  /** The number of a register that this op fills: a new one, or that of the op to which this one is the alternative. */
  define(name: unknown, op: Op, index: number): number {
    if (typeof name !== 'string') throw broken(op, 'names no register to fill');
    const known = this.#known.get(name);
    if (known !== undefined && (known.op === index || index > known.alternativesUntil)) {
      throw broken(op, `fills register ${name} again`);
    }
    if (known === undefined && this.#count === limits.registersMax) throw tooMany('registers', limits.registersMax, op);
    const number = known?.number ?? this.#count++;
    const until = Math.min(known?.alternativesUntil ?? Infinity, index + (op.skip ?? 0));
    this.#known.set(name, { number, op: index, alternativesUntil: until });
    return number;
  }
}
