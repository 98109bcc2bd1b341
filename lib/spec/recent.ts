/** The few values that were used last, each made of a text: programs ask for the same again and again, and must not fill our memory. */
export class Recent<V> {
  readonly #max: number;
  readonly #dropped: (value: V) => void;
  /** One after the other: a text that is not there is mostly told by its length, and to look for it in a table is to read all of it. */
  readonly #values: Kept<V>[] = [];

  /** `dropped` hears of each that has to go. */
  constructor(max: number, dropped: (value: V) => void = () => {}) {
    this.#max = max;
    this.#dropped = dropped;
  }

  /** The one that it is; looked for from the last one on. */
  match(is: (value: V) => boolean): V | undefined {
    for (let at = this.#values.length - 1; at >= 0; at--) if (is(this.#values[at]!.value)) return this.#used(at).value;
    return undefined;
  }

  values(): V[] {
    return this.#values.map(({ value }) => value);
  }

  /** What `make` gave for this key, or gives now; what it throws is not kept. */
  get(key: string, make: () => V): V {
    for (let at = this.#values.length - 1; at >= 0; at--)
      if (this.#values[at]!.key === key) return this.#used(at).value;
    const value = make();
    const last = this.#values.length >= this.#max ? this.#values.shift() : undefined;
    if (last !== undefined) this.#dropped(last.value);
    this.#values.push({ key, value });
    return value;
  }

  /** The last one that was used is the last to go. */
  #used(at: number): Kept<V> {
    const found = this.#values[at]!;
    if (at < this.#values.length - 1) {
      this.#values.splice(at, 1);
      this.#values.push(found);
    }
    return found;
  }
}

interface Kept<V> {
  readonly key: string;
  readonly value: V;
}
