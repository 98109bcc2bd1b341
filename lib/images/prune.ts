import { type Issue, specError } from '../errors.ts';
import { type ImageUser, usersOf } from './in-use.ts';
import { type Removed, untagged } from './remove.ts';
import type { ImageStore, StoredImage } from './store/store.ts';

export interface PruneFilter {
  /** Only images that were made before. */
  readonly until?: Date | undefined;
  /** Only images that have all of these labels: `key`, or `key=value`. */
  readonly labels?: readonly string[] | undefined;
  /** Only images that have none of these. */
  readonly withoutLabels?: readonly string[] | undefined;
}

export interface PruneOptions extends PruneFilter {
  /** Every image that no container uses, not only those without a name. */
  readonly all?: boolean | undefined;
  /** Blobs that belong to no image, of a pull that was given up, go when they are as old; default an hour. */
  readonly graceMs?: number | undefined;
  readonly users: readonly ImageUser[];
}

/** What `images.prune` has removed. */
export interface Pruned {
  readonly removed: readonly Removed[];
  /** What is free now. */
  readonly bytes: number;
}

/** Removes images that nothing uses. */
export async function pruneImages(store: ImageStore, options: PruneOptions): Promise<Pruned> {
  const { all = false, users, graceMs } = options;
  const images = (await store.list()).filter(
    (image) => (all || image.names.length === 0) && usersOf(image, users).length === 0 && matches(image, options),
  );
  const targets = images.flatMap((image) => image.targets);
  const parts = await store.partsOf(targets);
  await store.drop(targets);
  const inUse = users.map(({ image }) => image);
  const { removed, bytes } = await store.collect({ removed: parts, inUse, graceMs });
  const names = images.flatMap((image) => untagged(image.names));
  const ids = images.map(({ id }) => id);
  const others = removed.filter((digest) => !ids.includes(digest));
  return { removed: [...names, ...[...ids, ...others].map((deleted) => ({ deleted }))], bytes };
}

/** Whether an image is one that a filter means. */
export function matches({ document }: StoredImage, filter: PruneFilter): boolean {
  const { until, labels = [], withoutLabels = [] } = filter;
  const of = document.config.Labels ?? {};
  const has = (wanted: string): boolean => {
    const at = wanted.indexOf('=');
    const key = at < 0 ? wanted : wanted.slice(0, at);
    return Object.hasOwn(of, key) && (at < 0 || of[key] === wanted.slice(at + 1));
  };
  if (until !== undefined && !(Date.parse(document.created ?? '') < until.getTime())) return false;
  return labels.every(has) && !withoutLabels.some(has);
}

const units: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3600_000 };

/** Reads filters as `--filter` takes them: `until=24h`, `label=a=b`, `label!=c`. */
export function parsePruneFilters(filters: readonly string[], now: Date): PruneFilter {
  const issues: Issue[] = [];
  const labels: string[] = [];
  const withoutLabels: string[] = [];
  let until: Date | undefined;
  for (const filter of filters) {
    const [, key, not, value = ''] = /^([a-z]+)(!?)=([\s\S]+)$/.exec(filter) ?? [];
    if (key === 'label') (not === '' ? labels : withoutLabels).push(value);
    else if (key === 'until' && not === '') {
      until = moment(value, now);
      if (until === undefined) issues.push({ path: filter, message: 'is no time: as in 24h, or 2024-05-01T12:00:00Z' });
    } else issues.push({ path: filter, message: 'is none of until=TIME, label=KEY[=VALUE] and label!=KEY[=VALUE]' });
  }
  if (issues.length > 0) throw specError('invalid filter', issues);
  return { until, labels, withoutLabels };
}

/** So long ago, or a date, or seconds since 1970. */
function moment(text: string, now: Date): Date | undefined {
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)];
  if (parts.length > 0 && parts.map(([part]) => part).join('') === text) {
    const ago = parts.reduce((sum, [, number, unit]) => sum + Number(number) * units[unit!]!, 0);
    return new Date(now.getTime() - ago);
  }
  const date = /^\d{1,12}$/.test(text) ? new Date(Number(text) * 1000) : new Date(text);
  return Number.isNaN(date.getTime()) ? undefined : date;
}
