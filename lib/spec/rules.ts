import type { Issue } from '../errors.ts';
import type { Spec } from './types.ts';

/** What must hold between fields. It is asked only when the fields at `needs` have the right types themselves. */
export interface Rule {
  /** JSON pointers; an issue at one of them, above or below, silences the rule. */
  readonly needs: readonly string[];
  check(spec: Spec): readonly Issue[];
}

/** What the rules find, of those whose ground is firm. */
export function brokenRules(spec: Spec, rules: readonly Rule[], found: readonly Issue[]): Issue[] {
  const shaky = (path: string): boolean => found.some((issue) => within(issue.path, path) || within(path, issue.path));
  return rules.filter((rule) => !rule.needs.some(shaky)).flatMap((rule) => rule.check(spec));
}

const within = (inner: string, outer: string): boolean => inner === outer || inner.startsWith(`${outer}/`);

/** Indexes of the items whose key stood in the list before. */
export function repeated<T>(items: readonly T[], key: (item: T) => string): number[] {
  const seen = new Set<string>();
  const again: number[] = [];
  items.forEach((item, index) => {
    if (seen.has(key(item))) again.push(index);
    seen.add(key(item));
  });
  return again;
}
