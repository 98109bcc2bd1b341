/** The last few values that were made of a text each: programs ask for the same again and again, and must not fill our memory. */
export class Recent<V> {
  readonly #max: number;
  readonly #values = new Map<string, V>();

  constructor(max: number) {
    this.#max = max;
  }

  /** What `make` gave for this key, or gives now; what it throws is not kept. */
  get(key: string, make: () => V): V {
    const known = this.#values.get(key);
    if (known !== undefined) return known;
    const value = make();
    if (this.#values.size >= this.#max) this.#values.delete([...this.#values.keys()][0] as string);
    this.#values.set(key, value);
    return value;
  }
}
