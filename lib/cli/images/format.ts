import { specError } from '../../errors.ts';
import { hasOwn } from '../../spec/own.ts';

const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];

/** Bytes as docker shows them: by thousands, with three digits. */
export function humanSize(bytes: number): string {
  let size = bytes;
  let unit = 0;
  while (size >= 1000 && unit < units.length - 1) {
    size /= 1000;
    unit++;
  }
  return `${Number(size.toPrecision(3))}${units[unit]}`;
}

const minute = 60;
const hour = 60 * minute;
const day = 24 * hour;
const spans: readonly (readonly [below: number, seconds: number, word: string])[] = [
  [minute, 1, 'second'],
  [hour, minute, 'minute'],
  [2 * day, hour, 'hour'],
  [14 * day, day, 'day'],
  [60 * day, 7 * day, 'week'],
  [730 * day, 30 * day, 'month'],
  [Number.POSITIVE_INFINITY, 365 * day, 'year'],
];

/** How long ago, as docker says it: `3 weeks ago`; `N/A` where nobody knows. */
export function ago(then: string | undefined, now: string): string {
  const seconds = Math.floor((Date.parse(now) - Date.parse(then ?? '')) / 1000);
  if (Number.isNaN(seconds)) return 'N/A';
  if (seconds < 1) return 'Less than a second ago';
  const [, length, word] = spans.find(([below]) => seconds < below)!;
  const count = Math.floor(seconds / length);
  if (count === 1 && word === 'minute') return 'About a minute ago';
  if (count === 1 && word === 'hour') return 'About an hour ago';
  return `${count} ${word}${count === 1 ? '' : 's'} ago`;
}

/** The twelve digits that tell images apart. */
export const shortId = (id: string): string => id.slice(id.indexOf(':') + 1).slice(0, 12);

/** What an image or a container says of itself is not to move the cursor of whoever reads it. */
export const oneLine = (text: string): string => text.replace(/[\u0000-\u001f\u007f-\u009f]+/g, ' ');

const columnMin = 10;
const gap = 3;

/** Columns as docker sets them. */
export function dockerTable(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, i) => Math.max(columnMin, ...rows.map((row) => row[i]!.length + gap)));
  const line = (row: readonly string[]): string =>
    row
      .map((cell, i) => cell.padEnd(widths[i]!))
      .join('')
      .trimEnd();
  return rows.map((row) => `${line(row)}\n`).join('');
}

/**
 * Fills in a template as docker's `--format` has it: `{{.Field}}`, `{{.A.B}}`, `{{json .}}` and `{{json .Field}}`. What
 * Go's templates can do beyond that is refused.
 */
export function fillTemplate(template: string, value: object): string {
  const text = template.replace(/\\t/g, '\t').replace(/\\n/g, '\n');
  return text.replace(/\{\{\s*(.*?)\s*\}\}/g, (whole, inside: string) => {
    const [, json, path] = /^(json\s+)?(\.[A-Za-z0-9_.]*)$/.exec(inside) ?? [];
    if (path === undefined)
      throw wrong(`${whole} is not understood: there are {{.Field}}, {{json .}} and {{json .Field}}`);
    const found = path
      .split('.')
      .filter((key) => key !== '')
      .reduce<unknown>((at, key) => fieldOf(at, key, whole), value);
    if (json !== undefined) return JSON.stringify(found) ?? 'null';
    return found === undefined || found === null ? '' : inGo(found);
  });
}

/** As Go prints a value (fmt, %v): docker's templates do. */
function inGo(value: unknown): string {
  if (value === undefined || value === null) return '<nil>';
  if (Array.isArray(value)) return `[${value.map(inGo).join(' ')}]`;
  if (typeof value !== 'object') return String(value);
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `map[${entries.map(([key, each]) => `${key}:${inGo(each)}`).join(' ')}]`;
}

function fieldOf(value: unknown, key: string, whole: string): unknown {
  if (typeof value === 'object' && value !== null && hasOwn(value, key)) return (value as Record<string, unknown>)[key];
  const names = typeof value === 'object' && value !== null ? Object.keys(value) : [];
  throw wrong(`${whole}: there is no field ${key}${names.length === 0 ? '' : `; there are ${names.join(', ')}`}`);
}

const wrong = (message: string) => specError('invalid format', [{ path: '--format', message }]);
