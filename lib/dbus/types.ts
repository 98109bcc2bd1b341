/** A value with its type beside it (`v`). */
export interface Variant {
  readonly signature: string;
  readonly value: Value;
}

/**
 * A value of D-Bus: numbers for the integers up to 32 bits, bigints for `t` and `x`, texts for `s`, `o` and `g`, lists for
 * arrays and structures, and for an array of dictionary entries a list of pairs.
 */
export type Value = number | bigint | boolean | string | Variant | readonly Value[];

/** Types that are longer than one letter end where their brackets do. The signature of the first complete type. */
export function firstType(signature: string): string {
  const first = signature[0];
  if (first === undefined) throw new RangeError('a signature ended in the middle of a type');
  if (first === 'a') return `a${firstType(signature.slice(1))}`;
  const closing = first === '(' ? ')' : first === '{' ? '}' : undefined;
  if (closing === undefined) return first;
  let at = 1;
  while (signature[at] !== closing) at += firstType(signature.slice(at)).length;
  // A structure without fields would have no bytes, and an array of them no end.
  if (at === 1) throw new RangeError('a structure without fields');
  return signature.slice(0, at + 1);
}

/** The complete types of a signature, one after another. */
export function typesOf(signature: string): string[] {
  const types: string[] = [];
  for (let rest = signature; rest !== ''; ) {
    const type = firstType(rest);
    types.push(type);
    rest = rest.slice(type.length);
  }
  return types;
}

const alignments: Readonly<Record<string, number>> = {
  y: 1,
  g: 1,
  v: 1,
  n: 2,
  q: 2,
  i: 4,
  u: 4,
  b: 4,
  s: 4,
  o: 4,
  a: 4,
  h: 4,
  x: 8,
  t: 8,
  d: 8,
  '(': 8,
  '{': 8,
};

export function alignmentOf(type: string): number {
  const alignment = alignments[type[0] ?? ''];
  if (alignment === undefined) throw new RangeError(`D-Bus has no type ${JSON.stringify(type)}`);
  return alignment;
}
