/** So much of a mark is enough to know it by: names are made of the first part of an id. */
const partMin = 12;

/** Where in a value, or in what it consists of, there is a text with a mark in it. */
export type Holes = readonly (readonly (string | number)[])[];

/** All places of texts that a mark, or the beginning of it, is in. Bytes are not looked into. */
export function holesOf(value: unknown, mark: string): Holes {
  const found: (string | number)[][] = [];
  const part = mark.slice(0, partMin);
  const look = (each: unknown, path: readonly (string | number)[]): void => {
    if (typeof each === 'string') {
      if (each.includes(part)) found.push([...path]);
    } else if (typeof each === 'object' && each !== null && !(each instanceof Uint8Array)) {
      for (const [key, item] of Object.entries(each)) look(item, [...path, Array.isArray(each) ? Number(key) : key]);
    }
  };
  look(value, []);
  return found;
}

/** The same value with another text of the same length in the places of a mark. What has no hole is shared, not copied. */
export function filled<T>(value: T, holes: Holes, mark: string, by: string): T {
  let result: unknown = value;
  const copied = new Set<unknown>();
  for (const hole of holes) result = filledAt(result, hole, 0, (text) => replaced(text, mark, by), copied);
  return result as T;
}

function filledAt(
  value: unknown,
  hole: readonly (string | number)[],
  depth: number,
  fill: (text: string) => string,
  copied: Set<unknown>,
): unknown {
  const key = hole[depth];
  if (key === undefined) return fill(value as string);
  const own = copied.has(value) ? value : Array.isArray(value) ? [...value] : { ...(value as object) };
  copied.add(own);
  const parts = own as Record<string | number, unknown>;
  parts[key] = filledAt(parts[key], hole, depth + 1, fill, copied);
  return own;
}

/** As much of a mark as there is in each place of a text, replaced by as much of another. */
function replaced(text: string, mark: string, by: string): string {
  const part = mark.slice(0, partMin);
  let result = '';
  let from = 0;
  for (let at = text.indexOf(part); at >= 0; at = text.indexOf(part, from)) {
    const length = common(text.length - at, mark, (i) => text.charCodeAt(at + i));
    result += text.slice(from, at) + by.slice(0, length);
    from = at + length;
  }
  return result + text.slice(from);
}

/** The places of a mark of ASCII, or of the beginning of it, in bytes: where, and how much of it. */
export function bytesHoles(bytes: Uint8Array, mark: string): readonly (readonly [at: number, length: number])[] {
  const found: (readonly [number, number])[] = [];
  const first = mark.charCodeAt(0);
  for (let at = bytes.indexOf(first); at >= 0; ) {
    const length = common(bytes.length - at, mark, (i) => bytes[at + i]);
    if (length >= partMin) found.push([at, length]);
    at = bytes.indexOf(first, at + (length >= partMin ? length : 1));
  }
  return found;
}

/** A copy of bytes with another text in those places. */
export function filledBytes(bytes: Uint8Array, holes: ReturnType<typeof bytesHoles>, by: string): Uint8Array {
  if (holes.length === 0) return bytes;
  const result = bytes.slice();
  for (const [at, length] of holes) for (let i = 0; i < length; i++) result[at + i] = by.charCodeAt(i);
  return result;
}

function common(most: number, mark: string, code: (i: number) => number | undefined): number {
  let length = 0;
  while (length < most && length < mark.length && code(length) === mark.charCodeAt(length)) length++;
  return length;
}
