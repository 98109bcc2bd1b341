// Any document: one that is right but for some changes, or any JSON at all.
import fc from 'fast-check';

const telling = fc.constantFrom<unknown>(
  null,
  true,
  '',
  'x',
  '\0',
  -1,
  0,
  0.5,
  2 ** 32,
  2n ** 64n,
  [],
  {},
  [null],
  '/',
);

/** Any value of JSON, more often those that programs stumble over. */
export const anything = fc.oneof(telling, fc.jsonValue({ maxDepth: 3 }));

/** Every place of a document. */
function places(value: unknown, path: readonly string[] = []): string[][] {
  const below = typeof value === 'object' && value !== null ? Object.entries(value) : [];
  return [[...path], ...below.flatMap(([key, item]) => places(item, [...path, key]))];
}

function put(document: unknown, [key, ...rest]: readonly string[], value: unknown): unknown {
  if (key === undefined) return value;
  if (typeof document !== 'object' || document === null) return document;
  const copy = (Array.isArray(document) ? [...document] : { ...document }) as Record<string, unknown>;
  copy[key] = put(copy[key], rest, value);
  return copy;
}

/** A document with up to three of its values changed. */
export const changedFrom = (document: () => unknown) =>
  fc
    .array(fc.tuple(fc.constantFrom(...places(document())), anything), { maxLength: 3 })
    .map((changes) => changes.reduce((whole, [at, value]) => put(whole, at, value), document()));
