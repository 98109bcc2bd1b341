/** The last few values that were made of a text each: programs ask for the same again and again, and must not fill our memory. */
export class Recent<V> {
  readonly #max: number;
  /** One after the other: a text that is not there is mostly told by its length, and to look for it in a table is to read all of it. */
  readonly #values: { readonly key: string; readonly value: V }[] = [];

  constructor(max: number) {
    this.#max = max;
  }

  /** The first that it is. */
  match(is: (value: V) => boolean): V | undefined {
    for (const { value } of this.#values) if (is(value)) return value;
    return undefined;
  }

  values(): V[] {
    return this.#values.map(({ value }) => value);
  }

  /** What `make` gave for this key, or gives now; what it throws is not kept. */
  get(key: string, make: () => V): V {
    const known = this.#values.find((each) => each.key === key);
    if (known !== undefined) return known.value;
    const value = make();
    if (this.#values.length >= this.#max) this.#values.shift();
    this.#values.push({ key, value });
    return value;
  }
}
