import type { Readable } from 'node:stream';
import { RuntsError } from '../errors.ts';
import { usedUp } from '../hints.ts';
import type { Unpacking } from '../host/layers.ts';
import { checkDiffId, hashFor } from './diff-id.ts';
import { type Archive, eachEntry, type Place, reasonOf } from './entries.ts';
import { showName } from './entry-name.ts';
import type { UnpackLimits } from './limits.ts';
import { RecordStream } from './records.ts';
import { Refused } from './refused.ts';
import type { TarEntry } from './tar.ts';
import { type Below, LayerTranslator, type TranslatorOptions, translateRemoval } from './translate.ts';

/** What unpacking needs to know of a layer. */
export interface LayerSource {
  readonly digest: string;
  /** Digest of the uncompressed tar stream, which is checked: `sha256:…`. */
  readonly diffId: string;
  /** The layer as stored, compressed or not; a stream of bytes. */
  open(): Readable;
}

/** One layer, on its way to a directory. */
export interface Extraction {
  readonly layer: LayerSource;
  /** From 0; of so many. */
  readonly index: number;
  readonly count: number;
  readonly translator: TranslatorOptions;
  /** What all layers of the image may still cost; counted down. */
  readonly budget: Budget;
  readonly signal?: AbortSignal | undefined;
  /** Hears how many bytes were taken of the layer as it is stored. */
  readonly onBytes?: ((bytes: number) => void) | undefined;
  readonly below: Below;
}

/** What may still be spent, and what was to be spent at most. */
export class Budget {
  readonly #limits: UnpackLimits;
  #bytes = 0;
  #nameBytes = 0;
  #entries = 0;

  constructor(limits: UnpackLimits) {
    this.#limits = limits;
  }

  get entries(): number {
    return this.#entries;
  }

  spendBytes(bytes: number): void {
    this.#bytes += bytes;
    check('uncompressed bytes', this.#bytes, this.#limits.bytes);
  }

  spendEntry({ name, xattrs }: TarEntry): void {
    this.#entries++;
    this.#nameBytes += name.length;
    for (const [key, value] of xattrs) this.#nameBytes += key.length + value.length;
    check('entries', this.#entries, this.#limits.entries);
    check('bytes of names', this.#nameBytes, this.#limits.nameBytes);
  }
}

/** What was found in a layer. */
export interface Extracted {
  readonly translator: LayerTranslator;
  /** Bytes of the uncompressed stream. */
  readonly size: number;
}

/** Sends the entries of a layer to an init that makes them, and checks what the layer is while it streams. */
export async function extractLayer(extraction: Extraction, unpacking: Unpacking): Promise<Extracted> {
  const { layer, index, budget, signal } = extraction;
  const records = new RecordStream(unpacking.records);
  const translator = new LayerTranslator(records, index, extraction.translator, extraction.below);
  const place: LayerPlace = { what: layerName(extraction) };
  try {
    const hash = hashFor(layer.diffId);
    let size = 0;
    await eachEntry(archiveOf(extraction), place, records, {
      chunk: (bytes) => {
        size += bytes.length;
        budget.spendBytes(bytes.length);
        hash.update(bytes);
      },
      prepare: (entry) => (translator.isReady(entry) ? undefined : translator.prepare(entry)),
      entry: (entry) => {
        budget.spendEntry(entry);
        translator.begin(entry);
      },
      content: (bytes) => translator.content(bytes),
    });
    checkDiffId(hash, layer.diffId);
    await translator.settle();
    await records.end();
    await unpacking.done;
    return { translator, size };
  } catch (error) {
    throw await failed(error, place, { records, unpacking, signal });
  }
}

/** Takes away what a layer takes away from those below it, in a tree that has those. */
export async function removeHidden(extraction: Extraction, unpacking: Unpacking): Promise<void> {
  const { budget, signal } = extraction;
  const records = new RecordStream(unpacking.records);
  const place: LayerPlace = { what: layerName(extraction) };
  try {
    await eachEntry(archiveOf(extraction), place, records, {
      chunk: (bytes) => budget.spendBytes(bytes.length),
      entry: (entry) => {
        budget.spendEntry(entry);
        translateRemoval(records, entry, extraction.translator.unmade);
      },
    });
    await records.end();
    await unpacking.done;
  } catch (error) {
    throw await failed(error, place, { records, unpacking, signal });
  }
}

/** Where unpacking is, for the message of an error. */
interface LayerPlace extends Place {
  readonly what: string;
}

const archiveOf = ({ layer, signal, onBytes }: Extraction): Archive => ({ open: () => layer.open(), signal, onBytes });

const layerName = ({ layer, index, count }: Extraction) =>
  `layer ${index + 1} of ${count} (${layer.digest.slice(0, 19)})`;

function check(what: string, spent: number, limit: number): void {
  if (spent <= limit) return;
  throw new Refused(`the image has more than ${limit} ${what}`, { hint: 'If you trust it, raise the limit.' });
}

async function failed(
  error: unknown,
  place: LayerPlace,
  { records, unpacking, signal }: { records: RecordStream; unpacking: Unpacking; signal: AbortSignal | undefined },
): Promise<RuntsError> {
  const cause = await reasonOf(error, records, unpacking);
  if (signal?.aborted)
    return new RuntsError('ERR_CANCELED', `unpacking was canceled at ${place.what}`, { cause: error });
  return RuntsError.is(cause) && cause.failure !== undefined ? refusedBy(cause, place) : explained(cause, place);
}

/** What the entry did wrong, by the system call that refused it and its errno; whatever else is the machine's doing. */
const faults: readonly (readonly [step: RegExp, errnos: readonly string[], reason: string])[] = [
  [/^(openat2|open|mkdirat)$/, ['ENOTDIR'], 'the name goes through something that is not a directory'],
  [/^openat2$/, ['ELOOP'], 'the name goes through too many symbolic links'],
  [/./, ['ENAMETOOLONG'], 'the name leads to a path that is too long'],
  [/^linkat$/, ['ENOENT', 'ENOTDIR', 'ELOOP'], 'a hard link to a file which is not there'],
  [/^linkat$/, ['EPERM'], 'a hard link to a directory'],
  [/^linkat$/, ['EMLINK'], 'more hard links to one file than this file system has'],
];

function refusedBy(error: RuntsError, place: LayerPlace): RuntsError {
  const { step, errno, detail } = error.failure!;
  const what = `${place.what}, entry ${showName(Buffer.from(detail, 'utf8').toString('latin1'))}`;
  const fault = faults.find(([steps, errnos]) => steps.test(step) && errnos.includes(errno));
  if (fault !== undefined) return new RuntsError('ERR_IMAGE', `cannot unpack ${what}: ${fault[2]}`, { cause: error });
  const why = `${errno} in ${step}`;
  const hint = hintOf(errno) ?? error.hint;
  return new RuntsError('ERR_SETUP', `cannot unpack ${what}: ${why}`, { cause: error, hint, failure: error.failure });
}

const hints: Record<string, string> = {
  ENOSPC: 'Free some space, or choose another directory (XDG_DATA_HOME).',
  EDQUOT: 'Free some space, or choose another directory (XDG_DATA_HOME).',
  EFBIG: 'Raise the limit of file sizes (ulimit -f).',
};
const hintOf = (errno: string): string | undefined => (Object.hasOwn(hints, errno) ? hints[errno] : undefined);

function explained(cause: unknown, place: LayerPlace): RuntsError {
  if (RuntsError.is(cause)) return cause;
  const what = place.entry === undefined ? place.what : `${place.what}, entry ${showName(place.entry.name)}`;
  const why = cause instanceof Error ? cause.message : String(cause);
  if (cause instanceof Refused) {
    const code = cause.unsupported ? 'ERR_UNSUPPORTED' : 'ERR_IMAGE';
    return new RuntsError(code, `cannot unpack ${what}: ${why}`, { hint: cause.hint, cause });
  }
  const { code } = (cause ?? {}) as NodeJS.ErrnoException;
  const hint = code === undefined ? undefined : (hintOf(code) ?? usedUp(code));
  return new RuntsError('ERR_SETUP', `cannot unpack ${what}: ${why}`, { cause, hint });
}
