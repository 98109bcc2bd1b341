import type { Unit } from './row.ts';

/** A number as people read it: three digits that count, with its unit. */
export function withUnit(value: number, unit: Unit): string {
  if (unit === 'bytes') return value < 1024 ? `${value} bytes` : `${digits(value / 1024)} KiB`;
  if (unit === 'KiB') return value < 1024 ? `${digits(value)} KiB` : `${digits(value / 1024)} MiB`;
  return `${digits(value)} ${unit}`;
}

export const times = (ratio: number): string => `${digits(ratio)}×`;

function digits(value: number): string {
  const size = Math.abs(value);
  return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : size >= 0.1 || size === 0 ? 2 : 3);
}
