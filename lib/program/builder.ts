import { RuntsError } from '../errors.ts';
import { limits } from './limits.ts';
import type { Op, Operands, OpName, OpOf } from './ops.ts';
import { tooMany } from './refused.ts';

/** What one op may say beside its operands. */
export interface Conditions {
  /** These errnos are no error here: the op is skipped. */
  readonly unless?: readonly string[];
  /** On success, skip so many of the ops that follow: they are the alternatives. */
  readonly skip?: number;
}

/** Collects ops in order; registers go by name, and a name is free again once nothing needs it under that meaning. */
export class Builder {
  readonly #inputs: string[] = [];
  readonly #ops: Op[] = [];
  #names = 0;

  /** A register that the host fills before the first op. */
  input(name: string): string {
    if (this.#inputs.includes(name)) throw new RuntsError('ERR_INTERNAL', `input ${name} is declared twice`);
    this.#inputs.push(name);
    return name;
  }

  /** A register name that nobody else uses: `mount3`. */
  register(stem: string): string {
    return `${stem}${this.#names++}`;
  }

  op<N extends OpName>(op: N, operands: Operands<N>, origin: string, conditions?: Conditions): this {
    const row: OpOf<N> = { op, operands, origin, ...conditions };
    // At once: where each op is to be looked for among all before it, 100,000 would keep us busy for minutes.
    if (this.#ops.length === limits.opsMax) throw tooMany('ops', limits.opsMax, row as unknown as Op);
    this.#ops.push(row as unknown as Op);
    return this;
  }

  /** How many ops there are: for a `skip` over alternatives that are built by a function. */
  get length(): number {
    return this.#ops.length;
  }

  segment(): { readonly inputs: readonly string[]; readonly ops: readonly Op[] } {
    return { inputs: [...this.#inputs], ops: [...this.#ops] };
  }
}
