import * as carefully from '../spec/json.ts';
import { system } from './system.ts';

/*
 * In the place of lib/spec/json.ts, whose functions took a third of what `run` computes when they are interpreted: what is
 * ordinary is done natively, and whatever is not by those.
 */

export const { jsonDepthMax, jsonSizeMax } = carefully;

export function parseJson(text: string, what?: string): unknown {
  return system.parseJson(text) ?? carefully.parseJson(text, what);
}

export function stringifyJson(value: unknown, indent = 0): string {
  try {
    const text = JSON.stringify(value, null, indent);
    if (text !== undefined) return text;
  } catch {
    // A bigint, which JSON.stringify has no word for.
  }
  return carefully.stringifyJson(value, indent);
}

/** What has no nulls is given back as it is: it was read for who asks, and nobody else has it. */
export function withoutNulls(value: unknown): unknown {
  return system.hasNulls(value) ? carefully.withoutNulls(value) : value;
}
