/** How deep data may be that is looked up by its text. */
const depthMax = 16;

/**
 * The text of a value by which it is known again: equal texts are equal values. Undefined where it is more than plain data (a
 * function, a list with holes, an object with a prototype of its own), of which a text could not tell the whole.
 */
export function dataText(value: unknown): string | undefined {
  return isData(value, 0) ? JSON.stringify(value) : undefined;
}

function isData(value: unknown, depth: number): boolean {
  if (value === null) return true;
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return true;
    case 'number':
      return Number.isFinite(value) && !Object.is(value, -0);
    case 'object':
      return depth < depthMax && (Array.isArray(value) ? isList(value, depth) : isRecord(value as object, depth));
    default:
      return false;
  }
}

function isList(list: readonly unknown[], depth: number): boolean {
  if (Object.getPrototypeOf(list) !== Array.prototype || Object.keys(list).length !== list.length) return false;
  for (const item of list) if (!isData(item, depth + 1)) return false;
  return true;
}

function isRecord(record: object, depth: number): boolean {
  const prototype = Object.getPrototypeOf(record);
  if (prototype !== Object.prototype && prototype !== null) return false;
  // What is left unsaid and what is said to be undefined mean the same in all that we are told.
  for (const item of Object.values(record)) if (item !== undefined && !isData(item, depth + 1)) return false;
  return true;
}
