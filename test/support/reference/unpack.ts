import { readdir } from 'node:fs/promises';
import { addAbortSignal } from 'node:stream';
import { RuntsError } from '../../../lib/errors.ts';
import { uncompressed } from '../../../lib/layers/decompress.ts';
import { checkDiffId, hashFor } from '../../../lib/layers/diff-id.ts';
import { showName } from '../../../lib/layers/entry-name.ts';
import type { LayerSource } from '../../../lib/layers/extract.ts';
import { type UnpackLimits, unpackLimits } from '../../../lib/layers/limits.ts';
import { Pace } from '../../../lib/layers/pace.ts';
import { Refused } from '../../../lib/layers/refused.ts';
import { type TarEntry, TarReader } from '../../../lib/layers/tar.ts';
import { Ledger, type Ownership, type Skipped } from './ledger.ts';
import { Tree } from './tree.ts';
import { LayerWriter } from './writer.ts';

export { type UnpackLimits, unpackLimits } from '../../../lib/layers/limits.ts';
export type { Ownership, Skipped } from './ledger.ts';

export interface UnpackOptions {
  /** Give files their owners at once; else they are returned, for somebody inside the user namespace to give. */
  readonly asRoot: boolean;
  /** The highest user and group id that a container has; default 65535. */
  readonly uidMax?: number | undefined;
  readonly limits?: Partial<UnpackLimits> | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Hears of every entry, for progress; the name is the archive's, cut to something printable. */
  readonly onEntry?: ((entry: { readonly layer: number; readonly name: string }) => void) | undefined;
}

export interface Unpacked {
  /** Empty with `asRoot`. */
  readonly owners: readonly Ownership[];
  readonly skipped: readonly Skipped[];
  readonly entries: number;
}

/** Counts against the limits. */
interface Spent {
  bytes: number;
  entries: number;
  nameBytes: number;
}

/**
 * Applies layers, in order, to an empty directory, which becomes the root file system.
 *
 * The directory must be ours, in a directory that nobody else may enter. Nothing is written outside of it, whatever
 * the layers say. After an error it holds a part of the tree and is to be removed by the caller.
 */
export async function unpackLayers(
  source: { readonly layers: readonly LayerSource[] },
  target: string,
  options: UnpackOptions,
): Promise<Unpacked> {
  const { signal, uidMax = 65535 } = options;
  const pace = new Pace(signal);
  const ledger = new Ledger();
  const spent: Spent = { bytes: 0, entries: 0, nameBytes: 0 };
  await checkTarget(target);
  const tree = Tree.open(target, (path) => ledger.implied(path));
  const writer = new LayerWriter(tree, ledger, pace, { asRoot: options.asRoot, uidMax });
  const run: Run = { writer, pace, spent, options, limits: { ...unpackLimits, ...options.limits } };
  try {
    for (const [index, layer] of source.layers.entries()) {
      ledger.beginLayer();
      const where = { what: `layer ${index + 1} of ${source.layers.length} (${layer.digest.slice(0, 19)})` };
      await applyLayer(layer, index, run, where).catch((error) => {
        throw explained(error, where, signal);
      });
    }
    await writer.settle().catch((error) => {
      throw explained(error, { what: 'the modes of directories' }, signal);
    });
    const owners = options.asRoot ? [] : ledger.ownerships();
    return { owners, skipped: ledger.skipped, entries: spent.entries };
  } finally {
    writer.close();
    tree.close();
  }
}

interface Run {
  readonly writer: LayerWriter;
  readonly pace: Pace;
  readonly spent: Spent;
  readonly options: UnpackOptions;
  readonly limits: UnpackLimits;
}

/** Where unpacking is, for the message of an error. */
interface Where {
  readonly what: string;
  entry?: TarEntry;
}

async function applyLayer(layer: LayerSource, index: number, run: Run, where: Where): Promise<void> {
  const { pace, spent, limits, options } = run;
  options.signal?.throwIfAborted();
  const hash = hashFor(layer.diffId);
  const reader = new TarReader();
  const raw = layer.open();
  if (options.signal !== undefined) addAbortSignal(options.signal, raw);
  for await (const chunk of uncompressed(raw)) {
    spent.bytes += chunk.length;
    check('uncompressed bytes', spent.bytes, limits.bytes);
    hash.update(chunk);
    reader.feed(chunk);
    await applyEvents(reader, index, run, where);
    if (pace.due) await pace.turn();
  }
  reader.finish();
  delete where.entry;
  checkDiffId(hash, layer.diffId);
}

async function applyEvents(reader: TarReader, layer: number, run: Run, where: Where): Promise<void> {
  const { writer, pace } = run;
  for (let event = reader.next(); event !== undefined; event = reader.next()) {
    switch (event.kind) {
      case 'entry':
        run.options.signal?.throwIfAborted();
        where.entry = event.entry;
        countEntry(event.entry, run);
        run.options.onEntry?.({ layer, name: showName(event.entry.name) });
        await writer.begin(event.entry);
        break;
      case 'data':
        writer.write(event.bytes);
        break;
      case 'end':
        writer.end();
        break;
    }
    if (pace.due) await pace.turn();
  }
}

function countEntry(entry: TarEntry, { spent, limits }: Run): void {
  spent.entries++;
  spent.nameBytes += entry.name.length;
  for (const name of entry.xattrs.keys()) spent.nameBytes += name.length;
  check('entries', spent.entries, limits.entries);
  check('bytes of names', spent.nameBytes, limits.nameBytes);
}

function check(what: string, spent: number, limit: number): void {
  if (spent <= limit) return;
  throw new Refused(`the image has more than ${limit} ${what}`, { hint: 'If you trust it, raise the limit.' });
}

async function checkTarget(target: string): Promise<void> {
  const inside = await readdir(target).catch((error: NodeJS.ErrnoException) => {
    throw new RuntsError('ERR_SETUP', `cannot unpack to ${target}: ${error.message}`, { cause: error });
  });
  if (inside.length > 0) throw new RuntsError('ERR_EXISTS', `cannot unpack to ${target}: it is not empty`);
}

function explained(cause: unknown, where: Where, signal: AbortSignal | undefined): RuntsError {
  if (RuntsError.is(cause)) return cause;
  const what = where.entry === undefined ? where.what : `${where.what}, entry ${showName(where.entry.name)}`;
  if (signal?.aborted) return new RuntsError('ERR_CANCELED', `unpacking was canceled at ${what}`, { cause });
  if (cause instanceof Refused) {
    const code = cause.unsupported ? 'ERR_UNSUPPORTED' : 'ERR_IMAGE';
    return new RuntsError(code, `cannot unpack ${what}: ${cause.message}`, { hint: cause.hint, cause });
  }
  return new RuntsError('ERR_SETUP', `cannot unpack ${what}: ${systemReason(cause)}`, { cause, hint: hintFor(cause) });
}

/** The errno and its text, without the path through /proc, which means nothing to anybody. */
function systemReason(cause: unknown): string {
  return cause instanceof Error ? cause.message.replace(/ '\/proc\/self\/fd\/.*$/, '') : String(cause);
}

const hints: Record<string, string> = {
  ENOSPC: 'Free some space, or choose another directory.',
  EDQUOT: 'Free some space, or choose another directory.',
  EMFILE: 'Raise the limit of open files (ulimit -n).',
  EPERM: 'Only root may give files to others.',
};

function hintFor(cause: unknown): string | undefined {
  const { code } = (cause ?? {}) as NodeJS.ErrnoException;
  return code !== undefined && Object.hasOwn(hints, code) ? hints[code] : undefined;
}
