import { RuntsError } from '../errors.ts';
import { deviceKey } from '../spec/lookups.ts';
import { hasOwn } from '../spec/own.ts';
import type { Device } from '../spec/types.ts';
import { attributes, propagations } from './attributes.ts';
import { addLinks } from './links.ts';
import { at, type Site } from './site.ts';

/** The device nodes that every container has, as Linux has always numbered them. */
const standardDevices: readonly (readonly [path: string, major: number, minor: number])[] = [
  ['/dev/null', 1, 3],
  ['/dev/zero', 1, 5],
  ['/dev/full', 1, 7],
  ['/dev/random', 1, 8],
  ['/dev/urandom', 1, 9],
  ['/dev/tty', 5, 0],
];

/** Fills /dev, unless it is one of somebody else's: that has what it is to have, and what we made there would stay. */
export function setUpDev(site: Site, devices: readonly Device[]): void {
  const dev = site.placed.filter(({ path }) => path === 'dev').pop();
  if (dev !== undefined && dev.fstype === undefined) return;
  addDevices(site, devices);
  addLinks(site);
}

/**
 * Puts device nodes into the container: nodes of its own where those open, else clones of the host's. Making nodes takes
 * rights over the whole machine, which a user namespace does not give, and a node in a mount that is nodev opens nothing.
 */
export function addDevices(site: Site, devices: readonly Device[]): void {
  const listed = new Set(devices.map(({ path }) => path));
  for (const [path, major, minor] of standardDevices) {
    const device: Device = { type: 'c', path, major, minor };
    // EEXIST, EBUSY: the image has something else there, and it is covered.
    if (!listed.has(path)) addNode(site, device, path, standard, ['EPERM', 'EEXIST', 'EBUSY']);
  }
  devices.forEach((device, i) => {
    const origin = `/linux/devices/${i}`;
    if (device.type === 'p') site.ops.op('node', nodeOperands(site, device), origin);
    // Something else at the path must be an error (config-linux.md, devices).
    else addNode(site, device, hostNode(site, device), origin, ['EPERM']);
  });
}

const standard = 'default: /dev';

/**
 * Nobody makes a node in a user namespace, but what else is at its path is told to who tries. Only what a clone is attached to is
 * no harm: a file that an earlier container has left.
 */
function refuseOthers(site: Site, device: Device, origin: string): void {
  site.ops.op('node', nodeOperands(site, device), origin, { unless: ['EPERM', 'EACCES', 'EROFS', 'EBUSY'] });
}

/** Nodes of our own open something only as root of the host, and only on mounts without nodev. */
const canMake = (site: Site) => !site.own.has('user') && site.forced === 0;

/** `source`: where the host has this device; EPERM: in a nested container not even root makes nodes. */
function addNode(site: Site, device: Device, source: string | undefined, origin: string, unless: string[]): void {
  if (!canMake(site)) {
    const shown = source ?? missing(device, origin);
    if (origin !== standard && site.own.has('user')) refuseOthers(site, device, origin);
    cloneDevice(site, device, shown, origin, site.taking);
  } else if (source === undefined) {
    site.ops.op('node', nodeOperands(site, device), origin);
  } else {
    site.ops.op('node', nodeOperands(site, device), origin, { unless, skip: 3 });
    cloneDevice(site, device, source, origin);
  }
}

function cloneDevice(site: Site, { path }: Device, source: string, origin: string, taking = site.ops): void {
  const { ops } = site;
  const dst = ops.register('device');
  taking.op('clone_mount', { dst, path: source, recursive: 0 }, origin);
  // It is the host's own node. Read-only means nothing to what is behind it, but its mode and owner cannot be changed.
  const propagation = site.leaves ? propagations.private : 0;
  if (!site.own.has('user')) ops.op('mount_attributes', { src: dst, ...untouchable, propagation }, origin);
  ops.op('attach', { src: dst, ...at(site, path), ordinary: 0 }, origin);
  if (source === '/dev/null') site.nullDevice = dst;
}

function hostNode({ lookups }: Site, device: Device): string | undefined {
  const key = deviceKey(device);
  return hasOwn(lookups.devices, key) ? lookups.devices[key] : undefined;
}

function missing(device: Device, origin: string): never {
  const { path } = device;
  throw new RuntsError('ERR_UNSUPPORTED', `cannot make the device ${path} (${deviceKey(device)})`, {
    origin,
    hint: "A container that makes no device nodes itself, as in a user namespace, is shown those of the host, and the host's /dev has none of this number: make one there, load its driver, or leave the device away.",
  });
}

const untouchable = {
  set: attributes.readonly | attributes.nosuid | attributes.noexec,
  clear: 0,
  recursive: 0,
};

const typeBits = { c: 0o020000, u: 0o020000, b: 0o060000, p: 0o010000 } as const;

function nodeOperands(site: Site, device: Device) {
  const { fileMode = 0o666, major = 0, minor = 0, uid = 0, gid = 0 } = device;
  return { ...at(site, device.path), mode: typeBits[device.type] | (fileMode & 0o7777), major, minor, uid, gid };
}
