import { hasOwn } from './own.ts';

/** `base` one level deeper: RFC 6901, where `~` is written `~0` and `/` is `~1`. */
export function pointer(base: string, key: string | number): string {
  if (typeof key === 'number') return `${base}/${key}`;
  const isPlain = !key.includes('~') && !key.includes('/');
  return `${base}/${isPlain ? key : key.replace(/~/g, '~0').replace(/\//g, '~1')}`;
}

/** The JSON pointer of these keys: `pointerOf('mounts', 3)` is `/mounts/3`. */
export function pointerOf(...keys: readonly (string | number)[]): string {
  return keys.reduce<string>(pointer, '');
}

/** The keys of a JSON pointer; undefined for a string that is not one. */
export function parsePointer(text: string): string[] | undefined {
  if (text === '') return [];
  if (!text.startsWith('/') || /~(?![01])/.test(text)) return undefined;
  return text
    .slice(1)
    .split('/')
    .map((key) => key.replace(/~1/g, '/').replace(/~0/g, '~'));
}

/** What a pointer leads to, by own properties only; undefined where it leads nowhere. */
export function valueAt(document: unknown, text: string): unknown {
  const keys = parsePointer(text);
  if (keys === undefined) return undefined;
  let value = document;
  for (const key of keys) {
    if (typeof value !== 'object' || value === null) return undefined;
    if (!hasOwn(value, key)) return undefined;
    value = (value as Readonly<Record<string, unknown>>)[key];
  }
  return value;
}
