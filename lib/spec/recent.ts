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

  /** The first that it is. */
  match(is: (value: V) => boolean): V | undefined {
    return this.#used(this.#values.findIndex(({ value }) => is(value)))?.value;
  }

  values(): V[] {
    return this.#values.map(({ value }) => value);
  }

  /** What `make` gave for this key, or gives now; what it throws is not kept. */
  get(key: string, make: () => V): V {
    const known = this.#used(this.#values.findIndex((each) => each.key === key));
    if (known !== undefined) return known.value;
    const value = make();
    const last = this.#values.length >= this.#max ? this.#values.shift() : undefined;
    if (last !== undefined) this.#dropped(last.value);
    this.#values.push({ key, value });
    return value;
  }

  /** The last one that was used is the last to go. */
  #used(at: number): Kept<V> | undefined {
    const found = this.#values[at];
    if (found !== undefined && at < this.#values.length - 1) {
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
