const has = Object.prototype.hasOwnProperty;

/** Whether an object itself has this key. ES2022 has it as Object.hasOwn, which the core's small engine lacks. */
export function hasOwn(object: object, key: string): boolean {
  return has.call(object, key);
}
