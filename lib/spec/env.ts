/**
 * One environment of several, the later ones over the earlier: a name stands where it first stood, with the value that
 * came last. Entries without `=` are dropped: execve(2) would pass them on, and no program could read them.
 */
export function mergeEnv(...environments: readonly (readonly string[])[]): string[] {
  const values = new Map<string, string>();
  for (const environment of environments) {
    for (const entry of environment) {
      const equals = entry.indexOf('=');
      if (equals > 0) values.set(entry.slice(0, equals), entry);
    }
  }
  return [...values.values()];
}
