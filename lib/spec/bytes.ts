/** A size: a number of bytes, or a whole number with a unit of 1024: `'512m'`. */
export type Bytes = number | `${number}${'k' | 'm' | 'g' | 't'}`;

const units: Readonly<Record<string, number>> = { k: 1024, m: 1024 ** 2, g: 1024 ** 3, t: 1024 ** 4 };

/** The number of bytes of `1024`, `'512m'` or `'1.5G'`; undefined for what is no size, or too large to be exact. */
export function parseBytes(size: unknown): number | undefined {
  if (typeof size === 'number') return Number.isSafeInteger(size) && size >= 0 ? size : undefined;
  if (typeof size !== 'string') return undefined;
  const match = /^([0-9]{1,16}(?:\.[0-9]{1,16})?)([kmgt]?)$/i.exec(size);
  if (match === null) return undefined;
  const unit = match[2]!.toLowerCase();
  if (unit === '' && match[1]!.includes('.')) return undefined;
  const bytes = Math.floor(Number(match[1]) * (units[unit] ?? 1));
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}
