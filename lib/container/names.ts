import { RuntsError } from '../errors.ts';

/** The names of a runtime's own containers: of those that are there, and of those that are being made. */
export class Names {
  readonly #held = new Map<string, symbol>();

  /**
   * Makes a container, whose name is its alone from now on, until it is `free`d. What is wrong with a name is told by who checks
   * the options.
   */
  async held<T>(name: unknown, work: () => Promise<T>): Promise<T> {
    if (typeof name !== 'string') return work();
    this.#mustBeFree(name);
    const mine = Symbol(name);
    this.#held.set(name, mine);
    try {
      return await work();
    } catch (error) {
      // One that was made has given its name back when it was removed, perhaps to another.
      if (this.#held.get(name) === mine) this.free(name);
      throw error;
    }
  }

  /** The same for a container whose name others keep, once it is made. */
  async during<T>(name: unknown, work: () => Promise<T>): Promise<T> {
    const made = await this.held(name, work);
    if (typeof name === 'string') this.free(name);
    return made;
  }

  #mustBeFree(name: string): void {
    if (!this.#held.has(name)) return;
    throw new RuntsError('ERR_EXISTS', `there is a container ${JSON.stringify(name)} already`, {
      origin: '/name',
      hint: 'Remove that one first, or take another name.',
    });
  }

  free(name: string): void {
    this.#held.delete(name);
  }
}
