import { componentBytesMax, depthMax, pathBytesMax } from './limits.ts';
import { Refused } from './refused.ts';

/** What a name in a layer asks for; components are byte strings, never empty, `.` or `..`. */
export type EntryName =
  | { readonly kind: 'root' }
  | { readonly kind: 'entry'; readonly components: readonly string[] }
  /** `.wh.NAME`: what lower layers have under this path is to go. */
  | { readonly kind: 'whiteout'; readonly components: readonly string[] }
  /** `.wh..wh..opq`: what lower layers have inside this directory is to go. */
  | { readonly kind: 'opaque'; readonly components: readonly string[] }
  /** Other `.wh..wh.` names: the housekeeping of AUFS, which means nothing to anybody else. */
  | { readonly kind: 'ignored' };

const whiteout = '.wh.';
const opaque = '.wh..wh..opq';
const housekeeping = '.wh..wh.';

/** Reads an entry's name by the rules of OCI layers; refuses what climbs, and whiteouts of nothing. */
export function readEntryName(name: string): EntryName {
  const components = pathComponents(name);
  const last = components.at(-1);
  if (last === undefined) return { kind: 'root' };
  const parents = components.slice(0, -1);
  if (last === opaque) return checkParents(parents) ?? { kind: 'opaque', components: parents };
  if (components.some((component) => component.startsWith(housekeeping))) return { kind: 'ignored' };
  const kept = checkParents(parents);
  if (kept !== undefined) return kept;
  if (!last.startsWith(whiteout)) return { kind: 'entry', components };
  const hidden = last.slice(whiteout.length);
  if (hidden === '' || hidden === '.' || hidden === '..') {
    throw new Refused(`the whiteout ${JSON.stringify(last)} names nothing that can be removed`);
  }
  return { kind: 'whiteout', components: [...parents, hidden] };
}

function checkParents(parents: readonly string[]): EntryName | undefined {
  for (const parent of parents) {
    if (parent.startsWith(housekeeping)) return { kind: 'ignored' };
    if (parent.startsWith(whiteout)) throw new Refused('the name goes through a whiteout');
  }
  return undefined;
}

/** Cuts a name into components, taking an absolute one as relative to the root; refuses `..` wherever it stands. */
export function pathComponents(name: string): string[] {
  if (name === '') throw new Refused('an entry has no name');
  if (name.includes('\0')) throw new Refused('a name has a NUL in it');
  if (name.length > pathBytesMax) throw new Refused(`a name has ${name.length} bytes; the limit is ${pathBytesMax}`);
  const components = name.split('/').filter((component) => component !== '' && component !== '.');
  if (components.length > depthMax) {
    throw new Refused(`a name is ${components.length} directories deep; the limit is ${depthMax}`);
  }
  for (const component of components) {
    if (component === '..') throw new Refused('the name climbs out of the root file system (it has a ".." in it)');
    if (component.length > componentBytesMax) {
      throw new Refused(`a part of the name has ${component.length} bytes; the limit is ${componentBytesMax}`);
    }
  }
  return components;
}

/** Refuses a real path that links led beyond what a name may be. */
export function checkPlace(path: string): void {
  if (path.length > pathBytesMax) throw new Refused(`the name leads to a path of more than ${pathBytesMax} bytes`);
  let depth = 0;
  for (let i = path.indexOf('/'); i !== -1; i = path.indexOf('/', i + 1)) depth++;
  if (depth > depthMax) throw new Refused(`the name leads more than ${depthMax} directories deep`);
}

/** A byte string as people should see it: UTF-8 where it is that, quoted, and cut. */
export function showName(name: string): string {
  const text = Buffer.from(name, 'latin1').toString('utf8');
  return JSON.stringify(text.length > 200 ? `${text.slice(0, 200)}…` : text);
}
