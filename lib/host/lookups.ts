import { deviceKey, type Lookups } from '../spec/lookups.ts';
import { type NamespaceType, namespaceFiles } from '../spec/names.ts';
import type { Device, Mount, Namespace, Spec } from '../spec/types.ts';
import type { Host } from './host.ts';
import { textOf } from './probe.ts';

/** Looks on this host for what a configuration asks about. Whatever cannot be read is taken for missing. */
export async function lookUp(host: Host, spec: Spec, bundle: string | undefined): Promise<Lookups> {
  const [devices, links, kernel, shared] = await Promise.all([
    nodes(host, spec.linux.devices ?? []),
    linksOf(host, spec.mounts ?? [], bundle),
    kernelOf(host),
    sharedTypes(host, spec.linux.namespaces),
  ]);
  return { devices, links, ...kernel, shared };
}

type OfKernel = Pick<Lookups, 'kcore' | 'selinux'>;

const kernels = new WeakMap<Host['environment'], OfKernel>();

/** What a kernel has it has as long as it runs: looked for once. */
async function kernelOf({ files, environment }: Host): Promise<OfKernel> {
  const known = kernels.get(environment);
  if (known !== undefined) return known;
  let isKnown = true;
  const has = async (path: string): Promise<boolean> => {
    const kind = await files.kind(path).catch(() => {
      isKnown = false;
      return undefined;
    });
    return kind !== undefined;
  };
  const [kcore, selinux] = await Promise.all([has('/proc/kcore'), has('/sys/fs/selinux/enforce')]);
  const found = { kcore, selinux };
  if (isKnown) kernels.set(environment, found);
  return found;
}

/** A path such as /proc/1/ns/net: to join what we are in already is to stay in it. */
async function sharedTypes(host: Host, namespaces: readonly Namespace[]): Promise<NamespaceType[]> {
  const joined = namespaces.filter(({ path }) => path !== undefined && path !== '');
  if (joined.length === 0) return [];
  const mountinfo = await textOf(host, '/proc/self/mountinfo');
  const same = await Promise.all(
    joined.map(async ({ type, path = '' }) => {
      const own = await host.files.readLink(`/proc/self/ns/${namespaceFiles[type]}`).catch(() => undefined);
      return own !== undefined && (await namespaceAt(host, path, mountinfo)) === own;
    }),
  );
  return joined.filter((_, i) => same[i]).map(({ type }) => type);
}

const linksMax = 40;

/** Which namespace a path leads to, as `net:[4026531840]`, through whatever links; undefined where it cannot be told. */
async function namespaceAt(host: Host, path: string, mountinfo: string): Promise<string | undefined> {
  let rest = partsOf(path);
  let done: readonly string[] = [];
  for (let links = 0; rest.length > 0; ) {
    const [name = '', ...others] = rest;
    rest = others;
    if (name === '..') {
      done = done.slice(0, -1);
      continue;
    }
    const link = await host.files.readLink(`/${[...done, name].join('/')}`).catch(() => undefined);
    if (link === undefined) {
      done = [...done, name];
      continue;
    }
    if (/^[a-z_]+:\[\d+\]$/.test(link)) return link;
    if (++links > linksMax) return undefined;
    if (link.startsWith('/')) done = [];
    rest = [...partsOf(link), ...rest];
  }
  // One that was bound to a file, as by `ip netns add`: the mount says which it is.
  const at = `/${done.join('/')}`;
  const line = mountinfo.split('\n').find((each) => each.split(' ')[4] === at && / - nsfs /.test(each));
  return line?.split(' ')[3];
}

const partsOf = (path: string) => path.split('/').filter((part) => part !== '' && part !== '.');

async function nodes(host: Host, devices: readonly Device[]): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const device of devices.filter(({ type }) => type !== 'p')) {
    const path = await nodeOf(host, device);
    if (path !== undefined) found[deviceKey(device)] = path;
  }
  return found;
}

/** Where the host has a device: at the path that the container has it at, or where the kernel says that its node is. */
async function nodeOf(host: Host, device: Device): Promise<string | undefined> {
  const key = deviceKey(device);
  const is = async (path: string) => {
    const node = await host.files.device(path).catch(() => undefined);
    return node !== undefined && deviceKey(node) === key;
  };
  // Whatever else the host has at this path is not what was asked for.
  if (await is(device.path)) return device.path;
  const directory = device.type === 'b' ? 'block' : 'char';
  const uevent = await textOf(host, `/sys/dev/${directory}/${device.major}:${device.minor}/uevent`);
  const name = /^DEVNAME=(.+)$/m.exec(uevent)?.[1];
  const path = name === undefined ? undefined : `/dev/${name}`;
  return path !== undefined && (await is(path)) ? path : undefined;
}

async function linksOf(
  host: Host,
  mounts: readonly Mount[],
  bundle: string | undefined,
): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const { source = '', options = [] } of mounts) {
    if (!options.includes('copy-symlink') || source === '') continue;
    const path = source.startsWith('/') || bundle === undefined ? source : `${bundle}/${source}`;
    const link = await host.files.readLink(path).catch(() => undefined);
    if (link !== undefined) found[path] = link;
  }
  return found;
}
