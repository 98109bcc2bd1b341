import { specError } from '../errors.ts';
import { pointer } from './pointer.ts';
import { cannotLook, isObject } from './shape.ts';

/** What options may have in one object or list, and how deep. */
const itemsMax = 100_000;
const depthMax = 32;

/**
 * A copy of options that are nothing but data, each looked at once: getters may throw or say something else the next time, and
 * of a proxy that was revoked nothing can be asked. `what` ends the sentence of the error.
 */
export function plainCopy<T>(value: T, what: string): T {
  const copy = (each: unknown, path: string, depth: number): unknown => {
    if (typeof each !== 'object' || each === null) return each;
    const keys = looked(path, what, () => Object.keys(each));
    if (keys.length > itemsMax) throw refused(path, what, `must have at most ${itemsMax} items, not ${keys.length}`);
    if (depth > depthMax) throw refused(path, what, `must not be deeper than ${depthMax} objects`);
    const values = keys.map((key) => {
      const at = pointer(path, key);
      const found = looked(at, what, () => (each as Readonly<Record<string, unknown>>)[key]);
      return [key, copy(found, at, depth + 1)] as const;
    });
    return isObject(each) ? Object.fromEntries(values) : values.map(([, item]) => item);
  };
  return copy(value, '', 0) as T;
}

/** The same of one object, whose values may be anything; `known` are looked for also where they are not its own. */
export function shallowCopy<T extends object>(value: T, known: readonly string[], what: string): T {
  const given = value as Readonly<Record<string, unknown>>;
  const own = looked('', what, () => Object.keys(given));
  const inherited = looked('', what, () => isPlain(given))
    ? []
    : known.filter((name) => !own.includes(name) && looked(pointer('', name), what, () => name in given));
  const names = [...own, ...inherited];
  if (names.length > itemsMax) throw refused('', what, `must have at most ${itemsMax} items, not ${names.length}`);
  return Object.fromEntries(
    names.map((name) => [name, looked(pointer('', name), what, () => given[name])]),
  ) as unknown as T;
}

/** It inherits nothing that anybody has put there for us. */
const isPlain = (value: object): boolean => Object.getPrototypeOf(value) === Object.prototype;

function looked<T>(path: string, what: string, look: () => T): T {
  try {
    return look();
  } catch (error) {
    throw refused(path, what, cannotLook(error));
  }
}

const refused = (path: string, what: string, message: string) => specError(what, [{ path, message }]);
