import { type Pages, pageBytes } from './pages.ts';

const pageNumbers = pageBytes / 4;

/** Where no page was needed yet. */
const none = 0;

/** Rows of numbers (0 to 2^32 - 1, at first 0), in pages. */
export class NumberRows {
  readonly #memory: Pages;
  readonly #width: number;
  readonly #pageRows: number;
  readonly #pages: number[] = [];

  constructor(memory: Pages, width: number) {
    this.#memory = memory;
    this.#width = width;
    this.#pageRows = Math.floor(pageNumbers / width);
  }

  get(row: number, column: number): number {
    const page = this.#pages[Math.floor(row / this.#pageRows)] ?? none;
    return page === none ? 0 : this.#memory.numbers[this.#memory.read(page) * pageNumbers + this.#at(row, column)]!;
  }

  set(row: number, column: number, value: number): void {
    const index = Math.floor(row / this.#pageRows);
    while (this.#pages.length <= index) this.#pages.push(none);
    if (this.#pages[index] === none) this.#pages[index] = this.#memory.make();
    const frame = this.#memory.change(this.#pages[index]!);
    this.#memory.numbers[frame * pageNumbers + this.#at(row, column)] = value;
  }

  /** All are 0 again. */
  clear(): void {
    for (const page of this.#pages) if (page !== none) this.#memory.giveBack(page);
    this.#pages.length = 0;
  }

  /** In its page. */
  #at(row: number, column: number): number {
    return (row % this.#pageRows) * this.#width + column;
  }
}
