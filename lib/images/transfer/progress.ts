/** What becomes of one layer, or another blob of an image. */
export type Phase =
  | 'waiting'
  | 'exists'
  | 'downloading'
  | 'downloaded'
  | 'uploading'
  | 'verifying'
  | 'extracting'
  | 'mounted'
  | 'retrying'
  | 'done';

/** One piece of news of a transfer. Whoever is slow to take it slows the transfer down. */
export interface Progress {
  /** The digest of the blob; of the whole, the reference. */
  readonly layer: string;
  readonly phase: Phase;
  /** Bytes, as stored. */
  readonly done: number;
  /** Of the blob. */
  readonly total: number;
  /** With `retrying`: why, and after how many milliseconds. */
  readonly reason?: string | undefined;
  readonly delayMs?: number | undefined;
  /** It is the image's configuration, and no layer. */
  readonly isConfiguration?: true | undefined;
}

export type OnProgress = (progress: Progress) => unknown;

/** News of bytes comes after each so many. */
const stepBytes = 256 * 1024;

/** Tells the news of one blob, not oftener than anybody could look. */
export class BlobProgress {
  readonly #blob: { readonly digest: string; readonly size: number };
  readonly #tell: OnProgress | undefined;
  #done = 0;
  #told = 0;

  constructor(blob: { readonly digest: string; readonly size: number }, tell: OnProgress | undefined) {
    this.#blob = blob;
    this.#tell = tell;
  }

  async phase(phase: Phase, done = this.#done): Promise<void> {
    this.#done = done;
    this.#told = done;
    await this.#tell?.({ layer: this.#blob.digest, phase, done, total: this.#blob.size });
  }

  async bytes(phase: 'downloading' | 'uploading', done: number): Promise<void> {
    this.#done = done;
    if (done < this.#told || done - this.#told >= stepBytes) await this.phase(phase, done);
  }

  readonly retrying = async (reason: string, delayMs: number): Promise<void> => {
    const { digest: layer, size: total } = this.#blob;
    await this.#tell?.({ layer, phase: 'retrying', done: this.#done, total, reason, delayMs });
  };
}

// ---- for people ------------------------------------------------------------------------------------------------------

export type Direction = 'pull' | 'push';

const common = { waiting: 'Waiting', verifying: 'Verifying Checksum', mounted: 'Mounted', retrying: 'Retrying' };
const pulling = {
  ...{ exists: 'Already exists', downloading: 'Downloading', downloaded: 'Download complete', uploading: 'Pushing' },
  ...{ extracting: 'Extracting', done: 'Pull complete' },
};
const words: Readonly<Record<Direction, Readonly<Record<Phase, string>>>> = {
  pull: { ...common, ...pulling },
  push: { ...common, ...pulling, exists: 'Layer already exists', done: 'Pushed' },
};

const moving: readonly Phase[] = ['downloading', 'uploading', 'extracting'];

/** What is written where there is no terminal: a line for each change, and none for bytes. */
export function progressLines(direction: Direction = 'pull'): (progress: Progress) => string {
  const last = new Map<string, Phase>();
  return (progress) => {
    const { layer, phase, reason, delayMs = 0 } = progress;
    if ((last.get(layer) === phase || progress.isConfiguration) && phase !== 'retrying') return '';
    last.set(layer, phase);
    if (phase === 'retrying') return `${short(layer)}: ${retryText(reason, delayMs)}\n`;
    return moving.includes(phase) || phase === 'waiting' ? '' : `${short(layer)}: ${words[direction][phase]}\n`;
  };
}

/**
 * What is written on a terminal: a line for each blob, and a bar where bytes move. Each call gives what is to be written
 * next, over what was written before; '' while there is nothing that anybody would see.
 */
export class ProgressBars {
  readonly #columns: () => number;
  readonly #rows: () => number;
  readonly #now: () => number;
  readonly #words: Readonly<Record<Phase, string>>;
  readonly #states = new Map<string, Progress>();
  /** Lines that are on the terminal and may be written over: the last of them all. */
  #shown = 0;
  #writtenAt = Number.NEGATIVE_INFINITY;

  constructor(
    terminal: { readonly columns: () => number; readonly rows: () => number; readonly now: () => number },
    direction: Direction = 'pull',
  ) {
    this.#words = words[direction];
    this.#columns = terminal.columns;
    this.#rows = terminal.rows;
    this.#now = terminal.now;
  }

  update(progress: Progress): string {
    if (progress.isConfiguration && progress.phase !== 'retrying') return '';
    const before = this.#states.get(progress.layer);
    this.#states.set(progress.layer, progress);
    // A phase is shown at once, bytes ten times a second.
    if (before?.phase === progress.phase && this.#now() - this.#writtenAt < frameMs) return '';
    return this.draw();
  }

  /** All of it as it stands now. */
  draw(): string {
    this.#writtenAt = this.#now();
    const room = Math.max(this.#rows() - 1, 1);
    const lines = [...this.#states.values()].map((state) => line(state, this.#words, this.#columns()));
    // What is finished scrolls away where the terminal has too few lines for all.
    const visible = lines.slice(-room);
    const up = this.#shown === 0 ? '' : `\x1b[${this.#shown}A`;
    this.#shown = visible.length;
    return `${up}${visible.map((text) => `\x1b[2K${text}\r\n`).join('')}`;
  }
}

const frameMs = 100;

function line(progress: Progress, words: Readonly<Record<Phase, string>>, columns: number): string {
  const { layer, phase, done, total, reason, delayMs = 0 } = progress;
  const start = `${short(layer)}: `;
  if (phase === 'retrying') return `${start}${retryText(reason, delayMs)}`.slice(0, columns - 1);
  if (!moving.includes(phase)) return `${start}${words[phase]}`.slice(0, columns - 1);
  const numbers = `${bytes(done)}/${bytes(total)}`;
  const head = `${start}${words[phase]} `;
  const width = Math.min(columns - head.length - numbers.length - 4, 50);
  return (width < 5 ? `${head}${numbers}` : `${head}[${bar(done, total, width)}] ${numbers}`).slice(0, columns - 1);
}

function bar(done: number, total: number, width: number): string {
  const filled = total === 0 ? width : Math.min(Math.floor((done / total) * width), width);
  return filled === width ? '='.repeat(width) : `${'='.repeat(filled)}>${' '.repeat(width - filled - 1)}`;
}

function retryText(reason: string | undefined, delayMs: number): string {
  return `Retrying in ${Math.max(Math.round(delayMs / 1000), 1)} s${reason === undefined ? '' : ` (${reason})`}`;
}

/** Twelve digits tell blobs apart, as Docker shows them. */
function short(layer: string): string {
  return /^[a-z0-9]+:[0-9a-f]{32,}$/.test(layer) ? layer.slice(layer.indexOf(':') + 1).slice(0, 12) : layer;
}

const units = ['B', 'kB', 'MB', 'GB', 'TB'];

/** Bytes as Docker shows them: by thousands, with four digits. */
export function bytes(value: number): string {
  let size = value;
  let unit = 0;
  while (size >= 1000 && unit < units.length - 1) {
    size /= 1000;
    unit++;
  }
  return `${Number(size.toPrecision(4))}${units[unit]}`;
}
