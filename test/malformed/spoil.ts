import { parsePointer, valueAt } from '../../lib/spec/pointer.ts';

/** A copy of a document with one thing changed; `undefined` takes it away. */
export function changed<T>(document: T, path: string, value: unknown): T {
  const copy = structuredClone(document);
  const keys = parsePointer(path)!;
  const last = keys.pop()!;
  let at = copy as Record<string, unknown>;
  for (const key of keys) {
    at[key] ??= {};
    at = at[key] as Record<string, unknown>;
  }
  if (value === undefined) delete at[last];
  else at[last] = value;
  return copy;
}

/** Every place in a document, by JSON pointer: lists and objects, what is in them, and what is in that. */
export function places(value: unknown, path = ''): string[] {
  if (typeof value !== 'object' || value === null) return [path];
  const inner = Object.entries(value).flatMap(([key, item]) =>
    places(item, `${path}/${key.replace(/~/g, '~0').replace(/\//g, '~1')}`),
  );
  return path === '' ? inner : [path, ...inner];
}

/** A piece of JSON as it shall stand in the text: what no value of ours would be written as. */
export const raw = (text: string): string => `@@${text}@@`;

/** Puts the pieces of `raw` into a text. */
export const withRaw = (text: string): string => text.replace(/"@@(.*?)@@"/g, (_, piece: string) => piece);

export const u64 = 2n ** 64n - 1n;
const i64 = 2n ** 63n - 1n;
type Range = readonly [min: number | bigint, max: number | bigint];

const id: Range = [0, 0xffff_fffe];
const u32: Range = [0, 0xffff_ffff];
const bytes: Range = [-1, i64];

/** What each number of a configuration may be by its type in the specification and in the kernel; the first row counts. */
const ranges: readonly (readonly [place: RegExp, ...Range])[] = [
  [/\/consoleSize\//, 0, 0xffff],
  [/\/(uid|gid|containerID|hostID|additionalGids\/\d+)$/, ...id],
  [/\/umask$/, 0, 0o777],
  [/\/oomScoreAdj$/, -1000, 1000],
  [/\/nice$/, -20, 19],
  [/\/scheduler\/priority$/, -(2 ** 31), 2 ** 31 - 1],
  [/\/ioPriority\/priority$/, 0, 7],
  [/appings\/\d+\/size$/, 1, 0xffff_ffff],
  [/\/hooks\/.*\/timeout$/, 1, 2 ** 31 - 1],
  [/\/secs$/, -(2n ** 63n), i64],
  [/\/nanosecs$/, 0, 999_999_999],
  [/\/resources\/devices\/\d+\/major$/, -1, 0xfff],
  [/\/resources\/devices\/\d+\/minor$/, -1, 0xf_ffff],
  [/\/major$/, 0, 0xfff],
  [/\/minor$/, 0, 0xf_ffff],
  [/\/fileMode$/, 0, 0o177777],
  [/\/memory\/swappiness$/, 0, 100],
  [/\/memory\//, ...bytes],
  [/\/(quota|realtimeRuntime)$/, -(2n ** 63n), i64],
  [/\/idle$/, 0, 1],
  [/\/pids\/limit$/, ...bytes],
  [/[wW]eight$/, 0, 1000],
  [/\/(classID|priorities\/\d+\/priority|hcaHandles|hcaObjects)$/, ...u32],
  [/[eE]rrnoRet$/, 0, 0xffff],
  [/\/args\/\d+\/index$/, 0, 5],
  [/./, 0, u64],
];

const numbers: readonly (number | bigint)[] = [
  -1,
  -2,
  -(2 ** 31) - 1,
  2 ** 31,
  2 ** 32 - 1,
  2 ** 32,
  2n ** 63n,
  -(2n ** 63n) - 1n,
  2n ** 64n - 1n,
  2n ** 64n,
  10n ** 40n,
];

/** A value for a place, and whether it can be refused only. `written` is what a message about it has to show. */
export interface Spoilt {
  readonly value: unknown;
  readonly refused: boolean;
  readonly written?: string;
  /** A text that is no JSON is refused before there are any fields. */
  readonly syntax?: true;
}

/** What can stand in a place instead of the value that is right there. */
export function spoilt(document: unknown, path: string): Spoilt[] {
  const value = valueAt(document, path);
  if (typeof value === 'string') return strings(value, path);
  if (typeof value === 'number' || typeof value === 'bigint') return [...wrong(5), ...numbersAt(path)];
  return wrong(value);
}

/** Values of every other type. */
function wrong(right: unknown): Spoilt[] {
  const kinds = ['text', 7, true, ['text'], { key: 'value' }];
  const others = kinds.filter((other) => kindOf(other) !== kindOf(right));
  const almost = typeof right === 'boolean' ? ['true', 1] : typeof right === 'number' ? ['5'] : [];
  return [
    ...others.map((value) => ({ value, refused: true, written: shown(value) })),
    ...almost.map((value) => ({ value, refused: true, written: JSON.stringify(value) })),
    // What readers in Go take for absent is absent; a list does not get shorter by it.
    { value: null, refused: false },
    ...(Array.isArray(right) ? [{ value: [null], refused: true, written: 'null' }] : []),
  ];
}

const kindOf = (value: unknown) =>
  Array.isArray(value) ? 'list' : typeof value === 'bigint' ? 'number' : typeof value;
const shown = (value: unknown): string =>
  Array.isArray(value) ? 'a list' : typeof value === 'object' ? 'an object' : JSON.stringify(value);

function numbersAt(path: string): Spoilt[] {
  const [, min, max] = ranges.find(([place]) => place.test(path))!;
  const outside = numbers.filter((value) => value < min || value > max);
  return [
    ...outside.map((value) => ({ value, refused: true, written: value > 2n ** 100n ? '' : String(value) })),
    { value: 1.5, refused: true, written: '1.5' },
    { value: raw('1e30'), refused: true, written: '' },
    { value: raw('0x10'), refused: true, syntax: true },
    { value: raw('1e999'), refused: true, syntax: true },
    { value: raw('01'), refused: true, syntax: true },
    { value: raw('NaN'), refused: true, syntax: true },
    { value: raw('1e0'), refused: false },
    { value: min, refused: false },
    { value: max, refused: false },
  ];
}

/** Words of which there are only so many. */
const words =
  /\/(rlimits\/\d+\/type|policy|flags\/\d+|class|namespaces\/\d+\/type|devices\/\d+\/type|access|mode|rootfsPropagation|domain|defaultAction|action|op|architectures\/\d+)$/;
/** What is a name or a path in any case. */
const filled =
  /\/(ociVersion|process\/args\/0|cwd|destination|hooks\/.*\/path|devices\/\d+\/path|root\/path|names\/\d+|pageSize|(masked|readonly)Paths\/\d+)$/;
const absolute = /\/(cwd|hooks\/.*\/path|devices\/\d+\/path|namespaces\/\d+\/path|(masked|readonly)Paths\/\d+)$/;

function strings(right: string, path: string): Spoilt[] {
  const long = 'x'.repeat(100_000);
  return [
    ...wrong(right),
    { value: `${right}\0x`, refused: true, syntax: true },
    { value: raw('"\\ud800"'), refused: true, syntax: true },
    { value: raw('"\\x41"'), refused: true, syntax: true },
    { value: '', refused: filled.test(path), written: '' },
    { value: long, refused: words.test(path) || absolute.test(path), written: '' },
    { value: 'nosuch word', refused: words.test(path), written: '"nosuch word"' },
    ...(absolute.test(path) ? [{ value: right.slice(1), refused: true, written: JSON.stringify(right.slice(1)) }] : []),
  ];
}
