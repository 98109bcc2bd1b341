import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface, type Interface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** A Node of its own that runs a file of fixtures/ and tells what it does in lines of JSON. */
export class Fixture {
  readonly process: ChildProcess;
  readonly ended: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>;
  readonly #lines: AsyncIterator<string>;
  #complaints = '';

  constructor(name: string, args: readonly string[] = [], flags: readonly string[] = []) {
    const file = here(`fixtures/${name}.ts`);
    this.process = spawn(process.execPath, [...flags, '--import', here('../support/typescript.mjs'), file, ...args], {
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    const { stdout, stderr } = this.process;
    stderr?.on('data', (text) => {
      this.#complaints += text;
    });
    const lines: Interface = createInterface({ input: stdout as NodeJS.ReadableStream });
    this.#lines = lines[Symbol.asyncIterator]();
    this.ended = new Promise((resolve) => {
      this.process.once('close', (code, signal) => resolve({ code, signal }));
    });
  }

  /** The next thing it says. */
  async says<T>(): Promise<T> {
    const { value, done } = await this.#lines.next();
    if (done === true) {
      const { code, signal } = await this.ended;
      throw new Error(`the fixture ended (${code ?? signal}) without a word:\n${this.#complaints}`);
    }
    return JSON.parse(value) as T;
  }

  /** Its exit code or signal, and an error with what it wrote to stderr where it failed. */
  async ends(): Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }> {
    const how = await this.ended;
    if (this.#complaints !== '') throw new Error(`the fixture said (${how.code ?? how.signal}):\n${this.#complaints}`);
    return how;
  }
}
