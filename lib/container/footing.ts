import { readFile, realpath, stat } from 'node:fs/promises';
import { isDeepStrictEqual } from 'node:util';
import { RuntsError } from '../errors.ts';
import { limitedDevices, type Prepared, prepare } from '../host/prepare.ts';
import type { ContainerOptions } from '../spec/options.ts';
import type { Mount } from '../spec/types.ts';
import type { Home } from './home.ts';
import { hasOwnStdio } from './made.ts';

/** Mounts that are of the kernel alone. */
const comparable: readonly (string | undefined)[] = ['proc', 'sysfs', 'tmpfs', 'devpts', 'mqueue', 'cgroup', 'cgroup2'];

/** Throws for a container that is not to be made before somebody asks for it. */
export function mustBeComparable({ spec, volumes }: Prepared): void {
  const { cgroupsPath, netDevices, seccomp } = spec.linux;
  const strange = (spec.mounts ?? []).find((mount) => !isBind(mount) && !comparable.includes(mount.type));
  const asked = [cgroupsPath, netDevices, seccomp?.listenerPath, strange].some((each) => each !== undefined);
  if (asked || volumes.length > 0)
    throw new RuntsError(
      'ERR_UNSUPPORTED',
      'cannot make this container ahead: it takes what others may want meanwhile',
    );
}

/**
 * What of the host a container stands on, in words: where other words are said later, it would be another container. Files are
 * those that are there whenever they are looked at, and have no part in it; but directories and files that something is
 * mounted from, or over, are held as they are.
 */
export async function footingOf({ host }: Home, prepared: Prepared, options: ContainerOptions): Promise<string> {
  const { spec, request } = prepared;
  const roots = request.root.kind === 'directory' && prepared.image === undefined ? [request.root.path] : [];
  const binds = (spec.mounts ?? []).filter(isBind).map(({ source = '' }) => below(request.bundle, source));
  const inside = [spec.process?.cwd ?? '/', ...(spec.mounts ?? []).map(({ destination }) => destination)];
  const namespaces = spec.linux.namespaces.flatMap(({ path }) => (path === undefined || path === '' ? [] : [path]));
  const held = [...roots, ...binds];
  const places = [...held, ...namespaces, ...roots.flatMap((root) => inside.map((path) => `${root}/${path}`))];
  const [found, mounted, devices] = await Promise.all([
    Promise.all([...new Set(places)].map(placeOf)),
    mountedBelow(held),
    limitedDevices(host, options.limits),
  ]);
  return JSON.stringify([found, mounted, devices]);
}

/** Whether the same options would now give the same container, on the same footing. */
export async function isCurrent(
  home: Home,
  {
    options,
    prepared,
    footing,
  }: { readonly options: ContainerOptions; readonly prepared: Prepared; readonly footing: string },
): Promise<boolean> {
  const [isSame, now] = await Promise.all([isAsked(home, options, prepared), footingOf(home, prepared, options)]);
  return isSame && now === footing;
}

async function isAsked(home: Home, options: ContainerOptions, prepared: Prepared): Promise<boolean> {
  const { host, images, snapshots, volumes } = home;
  if (options.image !== undefined) {
    // What else it is made of is in the image, and nobody changes that.
    const image = await images.open(options.image, { environment: host.environment, pull: 'never', cancel: undefined });
    await image.close();
    return image.identity.digest === prepared.image?.digest && image.identity.reference === prepared.image.reference;
  }
  const { id } = prepared.request;
  const request = { options, id, ownStdio: hasOwnStdio(options), counted: true, late: true };
  const again = await prepare(host, await home.facts(), { ...request, images, snapshots, volumes });
  await again.release();
  return isDeepStrictEqual(again.spec, prepared.spec) && isDeepStrictEqual(again.plan, prepared.plan);
}

const isBind = ({ type, options = [] }: Mount): boolean =>
  type === 'bind' || options.some((option) => option === 'bind' || option === 'rbind');

const below = (directory: string | undefined, path: string): string =>
  path.startsWith('/') || directory === undefined ? path : `${directory}/${path}`;

/** Which file is at a path: an inode's number may be another's soon. */
async function placeOf(path: string): Promise<string> {
  try {
    const { dev, ino, birthtimeNs } = await stat(path, { bigint: true });
    return `${dev}:${ino}:${birthtimeNs}`;
  } catch {
    return '';
  }
}

/** What is mounted at or below some paths, for it is mounted along with them. */
async function mountedBelow(paths: readonly string[]): Promise<readonly string[]> {
  if (paths.length === 0) return [];
  const [text, ...straight] = await Promise.all([
    readFile('/proc/self/mountinfo', 'utf8'),
    ...paths.map((path) => realpath(path).catch(() => path)),
  ]);
  const starts = straight.map(escaped);
  return text.split('\n').filter((line) => {
    const at = line.split(' ', 5)[4] ?? '';
    return starts.some((start) => at === start || at.startsWith(start === '/' ? start : `${start}/`));
  });
}

/** As the kernel writes a path there. */
const escaped = (path: string): string =>
  path.replace(/[ \t\n\\]/g, (character) => `\\${character.charCodeAt(0).toString(8).padStart(3, '0')}`);
