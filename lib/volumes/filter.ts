import { type Issue, specError } from '../errors.ts';
import type { Volume } from './volume.ts';

/** Which volumes are meant: those that fit all of it. */
export interface VolumeFilter {
  /** Part of the name. */
  readonly name?: string | undefined;
  readonly driver?: string | undefined;
  /** With all of these: a value, or `true` for whatever value. */
  readonly labels?: Readonly<Record<string, string | true>> | undefined;
  /** With none of these. */
  readonly withoutLabels?: Readonly<Record<string, string | true>> | undefined;
  /** That no container uses; or that one does. */
  readonly dangling?: boolean | undefined;
}

export function isMeant(volume: Volume, filter: VolumeFilter): boolean {
  const { name, driver, labels = {}, withoutLabels = {}, dangling } = filter;
  const has = ([key, value]: [string, string | true]): boolean =>
    Object.hasOwn(volume.labels, key) && (value === true || volume.labels[key] === value);
  if (name !== undefined && !volume.name.includes(name)) return false;
  if (driver !== undefined && volume.driver !== driver) return false;
  if (dangling !== undefined && (volume.containers.length === 0) !== dangling) return false;
  return Object.entries(labels).every(has) && !Object.entries(withoutLabels).some(has);
}

export interface ReadFilters extends VolumeFilter {
  /** For `prune`. */
  readonly all?: boolean | undefined;
}

/** Reads filters as `--filter` takes them: `dangling=true`, `driver=local`, `name=db`, `label=a=b`, `label!=c`, `all=1`. */
export function parseVolumeFilters(filters: readonly string[], known: readonly string[]): ReadFilters {
  const issues: Issue[] = [];
  const labels: Record<string, string | true> = {};
  const withoutLabels: Record<string, string | true> = {};
  const found: { name?: string; driver?: string; dangling?: boolean; all?: boolean } = {};
  for (const filter of filters) {
    const [, key = '', not, value = ''] = /^([a-z]+)(!?)=([\s\S]+)$/.exec(filter) ?? [];
    const truth = /^(1|t|true)$/i.test(value) ? true : /^(0|f|false)$/i.test(value) ? false : undefined;
    if (!known.includes(key) || (not === '!' && key !== 'label')) {
      issues.push({ path: filter, message: `is none of the filters that there are: ${known.join(', ')}` });
    } else if (key === 'label') {
      const at = value.indexOf('=');
      const into = not === '' ? labels : withoutLabels;
      if (at < 0) into[value] = true;
      else into[value.slice(0, at)] = value.slice(at + 1);
    } else if (key === 'name' || key === 'driver') found[key] = value;
    else if (truth === undefined) issues.push({ path: filter, message: 'must be true or false' });
    else found[key as 'dangling' | 'all'] = truth;
  }
  if (issues.length > 0) throw specError('invalid filter', issues);
  return { ...found, labels, withoutLabels };
}
