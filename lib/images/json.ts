import { Refused } from '../layers/refused.ts';
import { shortJson } from './digest.ts';

export type JsonObject = Readonly<Record<string, unknown>>;

/** Parses a document; `what` names it in messages. */
export function parseJson(bytes: Buffer, what: string): unknown {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    return JSON.parse(text);
  } catch (error) {
    throw new Refused(`${what} is not JSON (${(error as Error).message.slice(0, 100)})`);
  }
}

export function object(value: unknown, what: string): JsonObject {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw wrongType(value, what, 'an object');
  return value as JsonObject;
}

export function array(value: unknown, what: string, max: number): readonly unknown[] {
  if (!Array.isArray(value)) throw wrongType(value, what, 'a list');
  if (value.length > max) throw new Refused(`${what} has ${value.length} items; the limit is ${max}`);
  return value;
}

/** A string without a NUL, which would cut it short on its way to the kernel. */
export function string(value: unknown, what: string): string {
  if (typeof value !== 'string') throw wrongType(value, what, 'a string');
  if (value.includes('\0')) throw new Refused(`${what} has a NUL in it`);
  return value;
}

export function boolean(value: unknown, what: string): boolean {
  if (typeof value !== 'boolean') throw wrongType(value, what, 'true or false');
  return value;
}

export function size(value: unknown, what: string): number {
  if (!Number.isSafeInteger(value) || (value as number) < 0) throw wrongType(value, what, 'a number of bytes');
  return value as number;
}

/** Go writes an absent list or map as null: both are undefined here. */
export function optional<T>(value: unknown, what: string, read: (value: unknown, what: string) => T): T | undefined {
  return value === undefined || value === null ? undefined : read(value, what);
}

export function wrongType(value: unknown, what: string, wanted: string): Refused {
  return new Refused(`${what} should be ${wanted}, and is ${shortJson(value)}`);
}
