/** How deep data may be that is looked up by its text. */
const depthMax = 16;

/**
 * The text of a value by which it is known again: equal texts are equal values. Undefined where it is more than plain data (a
 * function, a list with holes, an object with a prototype of its own), of which a text could not tell the whole.
 */
export function dataText(value: unknown): string | undefined {
  return isData(value, 0) ? JSON.stringify(value) : undefined;
}

/**
 * Whether a value is some plain data: both have the same text then. Nothing is made on the way, so it takes a tenth of the time that
 * the text does. What cannot be looked at is not the same: whoever checks it tells.
 */
export function isSameData(value: unknown, data: unknown): boolean {
  try {
    return isSame(value, data);
  } catch {
    return false;
  }
}

function isSame(value: unknown, data: unknown): boolean {
  if (typeof data !== 'object' || data === null) return value === data && !Object.is(value, -0);
  if (typeof value !== 'object' || value === null) return false;
  return Array.isArray(data) ? isSameList(value, data) : isSameRecord(value, data as Readonly<Record<string, unknown>>);
}

function isSameList(list: object, data: readonly unknown[]): boolean {
  if (!Array.isArray(list) || list.length !== data.length || !isPlainList(list)) return false;
  for (let i = 0; i < data.length; i++) if (!isSame(list[i], data[i])) return false;
  return true;
}

/** In the same order: a container's environment has one. */
function isSameRecord(record: object, data: Readonly<Record<string, unknown>>): boolean {
  if (!isPlainRecord(record)) return false;
  const names = Object.keys(data);
  let found = 0;
  for (const [name, item] of Object.entries(record)) {
    if (item === undefined) continue;
    if (names[found] !== name || !isSame(item, data[name])) return false;
    found++;
  }
  return found === names.length;
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
  if (!isPlainList(list)) return false;
  for (const item of list) if (!isData(item, depth + 1)) return false;
  return true;
}

function isRecord(record: object, depth: number): boolean {
  if (!isPlainRecord(record)) return false;
  // What is left unsaid and what is said to be undefined mean the same in all that we are told.
  for (const item of Object.values(record)) if (item !== undefined && !isData(item, depth + 1)) return false;
  return true;
}

const isPlainList = (list: readonly unknown[]): boolean =>
  Object.getPrototypeOf(list) === Array.prototype && Object.keys(list).length === list.length;

function isPlainRecord(record: object): boolean {
  const prototype = Object.getPrototypeOf(record);
  return prototype === Object.prototype || prototype === null;
}
