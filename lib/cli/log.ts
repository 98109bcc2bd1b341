import type { World } from './world.ts';

export type LogFormat = 'text' | 'json';

/** From the least to the most: an entry is written where its level is at most the one asked for. */
export const logLevels = ['error', 'warning', 'info', 'debug'] as const;
export type LogLevel = (typeof logLevels)[number];

export interface LogOptions {
  /** Without one the log goes to standard error. */
  readonly path?: string | undefined;
  readonly format: LogFormat;
  readonly level: LogLevel;
}

/** A path has 4096 bytes, and nobody reads them all. */
const wordMax = 512;

/**
 * A message for people, of words that others chose: names of a length that hides the rest are cut, and what a terminal would
 * take for a command to itself is shown.
 */
function readable(message: string): string {
  return message
    .replace(/\S{513,}/g, (word) => `${word.slice(0, wordMax)}…`)
    .replace(/[^\P{Cc}\n\t]/gu, (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`);
}

type Sink = Pick<World, 'append' | 'printError' | 'time'>;

/** What engines read after us: one line for each entry, in the two forms that they know from runc. */
export class Log {
  readonly #sink: Sink;
  readonly #options: LogOptions;

  constructor(sink: Sink, options: LogOptions) {
    this.#sink = sink;
    this.#options = options;
    // A log that cannot be written is told before anything is made, not after.
    if (options.path !== undefined) sink.append(options.path, '');
  }

  debug(message: string): void {
    this.#entry('debug', message);
  }

  warn(message: string): void {
    this.#entry('warning', message);
  }

  /**
   * The last entry is why we failed. Engines take it from the log, and where there is none from standard error, which
   * `shown` goes to in any case: there it is for people.
   */
  error(message: string, shown: string): void {
    const { path, format } = this.#options;
    if (path !== undefined || format === 'json') this.#entry('error', message);
    if (path !== undefined || format === 'text') this.#sink.printError(`${readable(shown)}\n`);
  }

  /** Whether it goes to a file: engines, which have one, put our name before what standard error says. */
  get isFile(): boolean {
    return this.#options.path !== undefined;
  }

  get debugs(): boolean {
    return this.#options.level === 'debug';
  }

  #entry(level: LogLevel, message: string): void {
    const { path, format, level: most } = this.#options;
    if (logLevels.indexOf(level) > logLevels.indexOf(most)) return;
    const time = this.#sink.time();
    const msg = readable(message);
    const line =
      format === 'json'
        ? JSON.stringify({ level, msg, time })
        : `time=${JSON.stringify(time)} level=${level} msg=${JSON.stringify(msg)}`;
    if (path === undefined) this.#sink.printError(`${line}\n`);
    else this.#sink.append(path, `${line}\n`);
  }
}
