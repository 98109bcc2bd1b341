import { alsoWith, type GoesWith, without } from '../../host/lifetime.ts';
import type { Descriptor } from '../manifest.ts';
import { type IndexEntry, makeEntry } from './index-file.ts';

/** Whose an entry is to be: of an ephemeral runtime, or of nobody in particular, and it stays. */
interface By {
  readonly target: Descriptor;
  readonly by: string | undefined;
}

/** The entries once a name means a target. What it meant before loses the name. */
export function named(
  entries: readonly IndexEntry[],
  { name, target, by }: By & { readonly name: string },
): readonly IndexEntry[] {
  const before = entries.find((each) => each.reference === name);
  // A name that others have given stays theirs, whatever it means.
  const goesWith = before === undefined ? of(by) : alsoWith(before.goesWith, by);
  const isNeeded = (each: IndexEntry) => !isBare(each, target.digest) || !outlives(goesWith, each.goesWith);
  const others = entries.filter((each) => each !== before && isNeeded(each));
  const isNamed = others.some(({ descriptor }) => descriptor.digest === before?.descriptor.digest);
  const lost =
    before === undefined || isNamed || before.descriptor.digest === target.digest
      ? []
      : [makeEntry(undefined, before.descriptor, before.goesWith)];
  return [...others, ...lost, makeEntry(name, target, goesWith)];
}

/** The entries once there is one for a target, of whatever name, that stays as long as it should. */
export function kept(entries: readonly IndexEntry[], { target, by }: By): readonly IndexEntry[] {
  const same = entries.filter(({ descriptor }) => descriptor.digest === target.digest);
  if (same.some(({ goesWith }) => outlives(goesWith, of(by)))) return entries;
  const bare = same.find(({ reference }) => reference === undefined);
  const goesWith = bare === undefined ? of(by) : alsoWith(bare.goesWith, by);
  return [...entries.filter((each) => each !== bare), makeEntry(undefined, target, goesWith)];
}

/** The entries once an ephemeral runtime has ended; those that lead to what is used stay. */
export function forgotten(
  entries: readonly IndexEntry[],
  runtime: string,
  used: ReadonlySet<string>,
): readonly IndexEntry[] {
  if (!entries.some(({ goesWith }) => goesWith?.includes(runtime))) return entries;
  return entries.flatMap((entry) => {
    const { reference, descriptor, goesWith } = entry;
    if (goesWith?.includes(runtime) !== true) return [entry];
    const left = without(goesWith, runtime, used.has(descriptor.digest));
    return left.kind === 'goes' ? [] : [makeEntry(reference, descriptor, left.goesWith)];
  });
}

const of = (runtime: string | undefined): GoesWith => (runtime === undefined ? undefined : [runtime]);

/** Whether what goes with these stays as long as what goes with those. */
const outlives = (these: GoesWith, those: GoesWith): boolean =>
  these === undefined || those?.every((each) => these.includes(each)) === true;

const isBare = ({ reference, descriptor }: IndexEntry, digest: string): boolean =>
  reference === undefined && descriptor.digest === digest;
