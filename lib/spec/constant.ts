/** What is frozen through and through. */
const constants = new WeakSet<object>();

/** The same value, of which nothing can be changed any more: what was once found out about it holds as long as it is there. */
export function constant<T extends object>(value: T): T {
  if (constants.has(value)) return value;
  for (const item of Object.values(value)) if (typeof item === 'object' && item !== null) constant(item as object);
  Object.freeze(value);
  constants.add(value);
  return value;
}

export const isConstant = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && constants.has(value);
