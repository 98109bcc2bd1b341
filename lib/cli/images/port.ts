/** An image as lists show it. */
export interface ListedImage {
  readonly id: string;
  readonly digest: string;
  /** In full. */
  readonly references: readonly string[];
  /** Repository, tag and digest of each name, as people write them. */
  readonly names: readonly { readonly repository: string; readonly tag: string; readonly digest: string }[];
  readonly size: number;
  /** RFC 3339. */
  readonly created: string | undefined;
  readonly platform: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly containers: readonly string[];
}

export interface HistoryRow {
  readonly id: string | undefined;
  readonly created: string | undefined;
  readonly createdBy: string;
  readonly size: number;
  readonly comment: string;
}

export type RemovedRow = { readonly untagged: string } | { readonly deleted: string };

/** A blob, and what is wrong with it. */
export interface ProblemRow {
  readonly digest: string;
  readonly problem: string;
}

/** How the progress of a transfer is shown. */
export interface Show {
  readonly print: (text: string) => void;
  readonly style: 'bars' | 'lines' | 'json' | 'nothing';
  readonly size: () => { readonly columns: number; readonly rows: number };
}

export interface ImportWords {
  readonly reference: string | undefined;
  readonly changes: readonly string[];
  readonly message: string | undefined;
  readonly platform: string | undefined;
}

export interface CommitWords {
  readonly reference: string | undefined;
  readonly author: string | undefined;
  readonly changes: readonly string[];
  readonly message: string | undefined;
}

/** What the commands about images need: images are Node's business, which bin/runts.js hands in. */
export interface ImageVerbs {
  pull(
    reference: string,
    options: { readonly platform: string | undefined; readonly allPlatforms: boolean; readonly show: Show },
  ): Promise<{
    /** In full, and as people write it. */
    readonly reference: string;
    readonly familiar: string;
    readonly digest: string;
    readonly isUpToDate: boolean;
  }>;
  push(
    reference: string,
    show: Show,
  ): Promise<{ readonly reference: string; readonly digest: string; readonly size: number }>;
  /** With `all` every tag of a repository: their names. */
  tagsOf(repository: string): Promise<readonly string[]>;
  /** `filters` as `--filter` has them, `reference` a pattern for names. */
  list(filters: readonly string[], reference: string | undefined): Promise<readonly ListedImage[]>;
  damaged(): Promise<readonly string[]>;
  inspect(reference: string): Promise<object>;
  history(reference: string): Promise<readonly HistoryRow[]>;
  tag(source: string, name: string): Promise<void>;
  remove(reference: string, force: boolean): Promise<readonly RemovedRow[]>;
  /** From a file, or from our standard input. */
  load(path: string | undefined): Promise<readonly ListedImage[]>;
  /** To a path, or to our standard output. */
  save(references: readonly string[], path: string | undefined, format: string): Promise<void>;
  import(path: string | undefined, words: ImportWords): Promise<string>;
  commit(container: string, words: CommitWords): Promise<string>;
  /** To a path, or to our standard output. */
  export(container: string, path: string | undefined): Promise<void>;
  changes(container: string): Promise<readonly { readonly kind: string; readonly path: string }[]>;
  prune(
    all: boolean,
    filters: readonly string[],
  ): Promise<{ readonly removed: readonly RemovedRow[]; readonly bytes: number }>;
  verify(): Promise<{
    readonly blobs: number;
    readonly bytes: number;
    readonly damaged: readonly ProblemRow[];
    readonly missing: readonly ProblemRow[];
  }>;
  login(
    domain: string | undefined,
    username: string,
    password: string,
  ): Promise<{ readonly kept: string; readonly path: string }>;
  logout(domain: string | undefined): Promise<{ readonly domain: string; readonly isGone: boolean }>;
}
