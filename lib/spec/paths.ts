/** An absolute path with `.`, `..` and doubled slashes resolved as text; a relative one is taken from `/`. */
export function normalizePath(path: string): string {
  if (isNormal(path)) return path;
  const parts: string[] = [];
  for (const part of path.split('/')) {
    if (part === '' || part === '.') continue;
    if (part === '..') parts.pop();
    else parts.push(part);
  }
  return `/${parts.join('/')}`;
}

/** As most are; of names that begin with a dot it is not sure. */
const isNormal = (path: string): boolean =>
  path.startsWith('/') && !path.includes('//') && !path.includes('/.') && (path === '/' || !path.endsWith('/'));
