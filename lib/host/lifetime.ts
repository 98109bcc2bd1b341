/** How long what is made stays: as long as an ephemeral runtime. */
export interface Lifetime {
  /** Of the runtime. */
  readonly id: string;
  /** Fulfilled once what is made goes, however this process ends. ERR_STATE when the runtime is being disposed. */
  begin(): Promise<void>;
  /** Notes the digest of something that is about to be stored, and that no name leads to yet. */
  noteBlob(digest: string): Promise<void>;
}

/** The ephemeral runtimes that something goes with, when the last of them has ended; undefined: it stays. */
export type GoesWith = readonly string[] | undefined;

/** What goes with these, and was asked for by somebody else too: an ephemeral runtime, or one that keeps it. */
export function alsoWith(goesWith: GoesWith, runtime: string | undefined): GoesWith {
  if (goesWith === undefined || runtime === undefined) return undefined;
  return goesWith.includes(runtime) ? goesWith : [...goesWith, runtime];
}

/** What is left of it when a runtime has ended. */
export type Left = { readonly kind: 'stays'; readonly goesWith: GoesWith } | { readonly kind: 'goes' };

/** `used`: somebody else uses it, and has it from now on. */
export function without(goesWith: readonly string[], runtime: string, used: boolean): Left {
  const others = goesWith.filter((each) => each !== runtime);
  if (others.length > 0) return { kind: 'stays', goesWith: others };
  return used ? { kind: 'stays', goesWith: undefined } : { kind: 'goes' };
}
