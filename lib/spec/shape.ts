import type { Issue } from '../errors.ts';
import { isConstant } from './constant.ts';
import { isFit, unfit } from './kernel-text.ts';
import { didYouMean } from './nearest.ts';
import { hasOwn } from './own.ts';
import { pointer } from './pointer.ts';

/** Says everything that is wrong with a value that stands at `path`. Absent fields are not looked at. */
export interface Check {
  (value: unknown, path: string, report: Report): void;
  /** Whether there is nothing to say: a path for each item of a long list takes longer than to look at it. */
  readonly fits?: (value: unknown) => boolean;
}
export type Report = (path: string, message: string) => void;

/** A check of a field that must be there. */
export interface Required {
  readonly required: Check;
}

/** The fields of an object, by name. */
export type Fields = Readonly<Record<string, Check | Required>>;

/** Says of a field that it must be there. */
export const required = (check: Check): Required => ({ required: check });

/** What is found beyond is not kept: a list of a million wrong items is one mistake. */
export const issuesMax = 1000;

/** All issues that one check finds, up to `issuesMax`. */
export function issuesOf(value: unknown, check: Check, path = ''): Issue[] {
  const issues: Issue[] = [];
  const report: Report = (at, message) => {
    if (issues.length < issuesMax) issues.push({ path: at, message });
  };
  looked(path, report, () => check(value, path, report));
  return issues;
}

/** Why a value could not be looked at. Whatever was thrown: it may be of the kind that caused it. */
export function cannotLook(error: unknown): string {
  let why = 'something was thrown';
  try {
    why = error instanceof Error && hasOwn(error, 'message') ? String(error.message).slice(0, 200) : typeof error;
  } catch {
    // Of a proxy that has been revoked nothing can be asked.
  }
  return `cannot be looked at: ${why}`;
}

/** A getter may throw, and a proxy of what is gone does: that is as wrong a value as any. */
function looked(path: string, report: Report, look: () => void): void {
  try {
    look();
  } catch (error) {
    report(path, cannotLook(error));
  }
}

/** A value as a message shows it: short, and never more than one line. */
export function show(value: unknown): string {
  if (typeof value === 'string')
    return value.length > 60 ? `${JSON.stringify(value.slice(0, 60))}…` : JSON.stringify(value);
  if (isList(value)) return 'a list';
  if (value === null || typeof value === 'number' || typeof value === 'boolean') return String(value);
  if (typeof value === 'bigint') return value < 1n << 128n && value > -(1n << 128n) ? String(value) : 'a larger number';
  return typeof value === 'object' ? 'an object' : typeof value === 'function' ? 'a function' : `a ${typeof value}`;
}

/** Of a proxy that has been revoked nothing can be asked. */
function isList(value: unknown): boolean {
  try {
    return Array.isArray(value);
  } catch {
    return false;
  }
}

/** An object that is no list. */
export const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !isList(value);

/** True or false, and nothing that is as good as either. */
export const boolean: Check = (value, path, report) => {
  if (typeof value !== 'boolean') report(path, `must be true or false, not ${show(value)}`);
};

/** A whole number that a double holds. */
export function integer(min: number, max: number): Check {
  return (value, path, report) => {
    if (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max) return;
    report(path, `must be a whole number from ${min} to ${max}, not ${show(value)}`);
  };
}

/** A whole number that may need all of 64 bits: a bigint where a double is not exact. */
export function integer64(min: bigint, max: bigint): Check {
  return (value, path, report) => {
    const whole = typeof value === 'bigint' || (typeof value === 'number' && Number.isInteger(value));
    if (!whole || value < min || value > max) {
      report(path, `must be a whole number from ${min} to ${max}, not ${show(value)}`);
    }
  };
}

/** The whole numbers of C, by their width. */
export const uint32 = integer(0, 0xffff_ffff);
export const int32 = integer(-0x8000_0000, 0x7fff_ffff);
export const uint64 = integer64(0n, 0xffff_ffff_ffff_ffffn);
export const int64 = integer64(-0x8000_0000_0000_0000n, 0x7fff_ffff_ffff_ffffn);

/** A user or group. 4294967295 is -1 to the kernel, for which set*id(2) change nothing: the process would stay root. */
export const id = integer(0, 0xffff_fffe);

/** What a string must be like: an expression, or what takes less time than one. */
interface Form {
  test(value: string): boolean;
}

/** A string, of the kernel's kind: no NUL, and something that UTF-8 can say. `fault` is the end of "must …, not X". */
export function text(form?: Form, fault = 'must have another form'): Check {
  const fits = (value: unknown): boolean =>
    typeof value === 'string' && isFit(value) && (form === undefined || form.test(value));
  const check: Check = (value, path, report) => {
    if (fits(value)) return;
    if (typeof value !== 'string') return report(path, `must be a string, not ${show(value)}`);
    const found = unfit(value);
    report(path, found === undefined ? `${fault}, not ${show(value)}` : `must not contain ${found}: ${show(value)}`);
  };
  return Object.assign(check, { fits });
}

/** The strings that most fields hold. */
export const anyText = text();
export const someText = text({ test: (value) => value !== '' }, 'must not be empty');
export const absolutePath = text({ test: (value) => value.startsWith('/') }, 'must be an absolute path');
export const environmentEntry = text({ test: (value) => value.indexOf('=') > 0 }, 'must have the form NAME=VALUE');
/** `0-3,7`, as cpuset(7) lists processors and memory nodes; an empty list is one. */
export const numberList: Check = (value, path, report) => {
  const issues = issuesOf(value, numberListForm, path);
  for (const issue of issues) report(issue.path, issue.message);
  if (issues.length > 0) return;
  for (const [range, from, to] of (value as string).matchAll(/(\d+)-(\d+)/g)) {
    if (Number(from) > Number(to)) report(path, `must be a list such as "0-3,7": ${range} goes backwards`);
  }
};

/** Six digits are more than any kernel counts of either. */
const numberListForm = text(/^(\d{1,6}(-\d{1,6}(:\d{1,6}\/\d{1,6})?)?(,(?!$)|$))*$/, 'must be a list such as "0-3,7"');

/** One of these words; `what` names their kind. */
export function oneOf(words: readonly string[], what: string): Check {
  return (value, path, report) => {
    if (typeof value !== 'string') report(path, `must be a string, not ${show(value)}`);
    else if (!words.includes(value)) {
      const hint = didYouMean(value, words) || (words.length <= 10 ? `; there are ${words.join(', ')}` : '');
      report(path, `unknown ${what} ${show(value)}${hint}`);
    }
  };
}

/** A list of at least so many items. */
export function list(item: Check, min = 0): Check {
  const { fits } = item;
  return (value, path, report) => {
    if (!Array.isArray(value)) return report(path, `must be a list, not ${show(value)}`);
    if (value.length < min) report(path, 'must not be empty');
    for (let i = 0; i < value.length; i++) {
      const each: unknown = value[i];
      if (fits === undefined || !fits(each)) item(each, `${path}/${i}`, report);
    }
  };
}

/** Of so many items or keys at most: where there are more, none of them is looked at. */
export function atMost(most: number, check: Check): Check {
  return (value, path, report) => {
    const items = Array.isArray(value) ? value.length : isObject(value) ? Object.keys(value).length : 0;
    if (items > most) report(path, `must have at most ${most} items, not ${items}`);
    else check(value, path, report);
  };
}

/** An object whose keys are the caller's own words. */
export function record(item: Check, key: Check = someText): Check {
  return (value, path, report) => {
    if (!isObject(value)) return report(path, `must be an object, not ${show(value)}`);
    for (const name of Object.keys(value)) {
      const at = pointer(path, name);
      key(name, at, (where, message) => report(where, `the key ${message}`));
      looked(at, report, () => item(value[name], at, report));
    }
  };
}

/** An object of these fields, and of others, which are not looked at: the specification says to ignore them. */
export function object(fields: Fields): Check {
  // Their pointers are put together once: configurations are checked for each container.
  const rows = Object.keys(fields).map((name) => {
    const field = fields[name]!;
    const isRequired = typeof field !== 'function';
    return { name, below: pointer('', name), check: isRequired ? field.required : field, isRequired };
  });
  return (value, path, report) => {
    if (!isObject(value)) return report(path, `must be an object, not ${show(value)}`);
    for (let i = 0; i < rows.length; i++) {
      const row = rows[i]!;
      try {
        // Not own properties only: what is checked must be what readers will see.
        const field = value[row.name];
        if (field !== undefined) row.check(field, path + row.below, report);
        else if (row.isRequired) report(path + row.below, 'is required');
      } catch (error) {
        report(path + row.below, cannotLook(error));
      }
    }
  };
}

/** An object of these fields and no others: an option that is misspelled must not pass for one that is not given. */
export function closed(fields: Fields, what: string, renamed: Readonly<Record<string, string>> = {}): Check {
  const open = object(fields);
  const names = Object.keys(fields);
  return (value, path, report) => {
    open(value, path, report);
    if (!isObject(value)) return;
    for (const key of Object.keys(value)) {
      if (names.includes(key)) continue;
      const now = hasOwn(renamed, key) ? renamed[key] : undefined;
      const hint = now === undefined ? didYouMean(key, names) : `; it is called "${now}"`;
      report(pointer(path, key), `unknown ${what} ${show(key)}${hint}`);
    }
  };
}

/** A constant that nothing was wrong with is not looked at again. */
export function once(check: Check): Check {
  const faultless = new WeakSet<object>();
  return (value, path, report) => {
    if (!isConstant(value)) return check(value, path, report);
    if (faultless.has(value)) return;
    let faults = 0;
    check(value, path, (at, message) => {
      faults++;
      report(at, message);
    });
    if (faults === 0) faultless.add(value);
  };
}

/** Whichever check fits a value of this type; `otherwise` says what it must be. */
export function either(cases: readonly (readonly [(value: unknown) => boolean, Check])[], otherwise: string): Check {
  return (value, path, report) => {
    for (const [fits, check] of cases) if (fits(value)) return check(value, path, report);
    report(path, `must be ${otherwise}, not ${show(value)}`);
  };
}

/** Cases for `either`. */
export const isString = (value: unknown): boolean => typeof value === 'string';
export const isNumber = (value: unknown): boolean => typeof value === 'number';
export const isBoolean = (value: unknown): boolean => typeof value === 'boolean';
/** Nothing more to say. */
export const fine: Check = () => {};
