import { at, type Site } from './site.ts';

/** Links that programs expect in /dev, and where they lead. */
const links: Readonly<Record<string, string>> = {
  fd: '/proc/self/fd',
  stdin: '/proc/self/fd/0',
  stdout: '/proc/self/fd/1',
  stderr: '/proc/self/fd/2',
  // The pseudo-terminals are those of the container's own devpts, whichever /dev/ptmx the image has.
  ptmx: 'pts/ptmx',
};

/** Makes the links of /dev. */
export function addLinks(site: Site): void {
  for (const name of Object.keys(links)) {
    site.ops.op('symlink', { ...at(site, `/dev/${name}`), target: links[name]! }, 'default: /dev');
  }
  // By custom, and only where it leads somewhere.
  if (!site.lookups.kcore) return;
  site.ops.op('symlink', { ...at(site, '/dev/core'), target: '/proc/kcore' }, 'default: /dev');
}
