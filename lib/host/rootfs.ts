import { RuntsError } from '../errors.ts';
import { errnoOf } from './failure.ts';
import type { Host } from './host.ts';
import { messageOf } from './undo.ts';

/** A directory of the host that is to be used as something: it is there, and we may enter it. */
export async function usableDirectory(host: Host, path: string, what: string, origin: string): Promise<string> {
  let kind: 'directory' | 'file' | 'other' | undefined;
  try {
    kind = await host.files.kind(path);
  } catch (error) {
    const closed = errnoOf(error) === 'EACCES' ? await closedDirectory(host, path) : undefined;
    const why =
      closed === undefined
        ? messageOf(error)
        : `EACCES (permission denied): the directory ${closed} on the way to it is closed to us`;
    throw new RuntsError('ERR_SPEC', `cannot use ${path} as ${what}: ${why}`, {
      origin,
      cause: error,
      ...(closed !== undefined && { hint: `Whoever owns ${closed} can open it: chmod +x ${closed}` }),
    });
  }
  if (kind === 'directory') return path;
  const code = kind === undefined ? 'ERR_NOT_FOUND' : 'ERR_SPEC';
  const why = kind === undefined ? 'there is no such directory' : 'it is not a directory';
  throw new RuntsError(code, `cannot use ${path} as ${what}: ${why}`, { origin });
}

/** The same for a root file system: not that of the host, under whatever name, which the container would be let into. */
export async function usableRoot(host: Host, path: string, what: string, origin: string): Promise<string> {
  // Most paths have neither links nor `..` in them, and then nobody has to go along them.
  if (path.split('/').some((name) => !['', '.', '..'].includes(name)) && !path.includes('/..')) {
    if (await host.files.isStraight(path)) return path;
  }
  const found = await usableDirectory(host, path, what, origin);
  if ((await linkedTo(host, path)) !== '/') return found;
  throw new RuntsError('ERR_SPEC', `cannot use ${path} as ${what}: it is the root of the host itself`, {
    origin,
    hint: 'Name a directory that has the files of the container, and only these.',
  });
}

/** More than the kernel follows. */
const linksMax = 40;

/** Where a path leads by the links on the way, as the kernel goes it: `..` is above where a link has led. */
async function linkedTo(host: Host, path: string): Promise<string> {
  const ahead = path.split('/').reverse();
  let at: readonly string[] = [];
  let links = 0;
  for (let name = ahead.pop(); name !== undefined; name = ahead.pop()) {
    if (name === '' || name === '.') continue;
    if (name === '..') {
      at = at.slice(0, -1);
      continue;
    }
    const link = await host.files.readLink(`/${[...at, name].join('/')}`);
    if (link === undefined || ++links > linksMax) {
      at = [...at, name];
      continue;
    }
    if (link.startsWith('/')) at = [];
    ahead.push(...link.split('/').reverse());
  }
  return `/${at.join('/')}`;
}

/** The first directory on the way to a path that we may not enter. */
async function closedDirectory(host: Host, path: string): Promise<string | undefined> {
  const names = path.split('/').filter((name) => name !== '');
  let above = '/';
  for (const [i] of names.entries()) {
    const next = `/${names.slice(0, i + 1).join('/')}`;
    const refused = await host.files.kind(next).then(
      () => false,
      (error: unknown) => errnoOf(error) === 'EACCES',
    );
    if (refused) return above;
    above = next;
  }
  return undefined;
}
