import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import type { Bundle } from './bundle.ts';
import { Answering } from './lines.ts';
import { packageRoot } from './paths.ts';

/** Builds the program of bench/limit, whose calls are those that no runtime can avoid. Gives its path. */
export function buildLimit(directory: string): string {
  const program = join(directory, 'limit');
  const sources = ['limit.c', 'rootfs.c', 'become.c'].map((name) => join(packageRoot, 'bench/limit', name));
  execFileSync('cc', ['-O2', '-static', '-o', program, ...sources], { stdio: 'inherit' });
  return program;
}

/** Builds the program that tells when it was started. */
export function buildNow(program: string): void {
  const source = join(packageRoot, 'bench/limit/now.c');
  execFileSync('cc', ['-O2', '-static', '-nostdlib', '-o', program, source], { stdio: 'inherit' });
}

/** The program, waiting for orders. */
export class Limit {
  readonly program: string;
  readonly #answering: Answering;

  constructor(program: string, { rootfs, filter, cgroup }: Bundle) {
    this.program = program;
    this.#answering = new Answering(program, [rootfs, filter, ...(cgroup ? ['cgroup'] : [])]);
  }

  /** Milliseconds that an order took, measured there. */
  async ms(order: string): Promise<number> {
    return (await this.#ask(order))[0]! / 1e6;
  }

  /** The time of a program, from its start to its end, and the most memory that it had resident. */
  async spawn(command: readonly string[]): Promise<{ readonly ms: number; readonly residentKiB: number }> {
    const [ns, residentKiB] = await this.#ask(`spawn ${command.join(' ')}`);
    return { ms: ns! / 1e6, residentKiB: residentKiB! };
  }

  close(): Promise<void> {
    return this.#answering.close();
  }

  async #ask(order: string): Promise<number[]> {
    const answer = await this.#answering.ask(order);
    const numbers = answer.split(' ').map(Number);
    if (numbers.some((number) => Number.isNaN(number))) throw new Error(`${order}: ${answer}`);
    return numbers;
  }
}
