const chunkRows = 4096;

/** Rows of numbers (0 to 2^32 - 1, at first 0), made a chunk at a time: an array that grows is there twice meanwhile. */
export class NumberRows {
  readonly #width: number;
  readonly #chunks: Uint32Array[] = [];

  constructor(width: number) {
    this.#width = width;
  }

  get(row: number, column: number): number {
    return this.#chunks[Math.floor(row / chunkRows)]?.[(row % chunkRows) * this.#width + column] ?? 0;
  }

  set(row: number, column: number, value: number): void {
    const index = Math.floor(row / chunkRows);
    while (this.#chunks.length <= index) this.#chunks.push(new Uint32Array(chunkRows * this.#width));
    this.#chunks[index]![(row % chunkRows) * this.#width + column] = value;
  }
}
