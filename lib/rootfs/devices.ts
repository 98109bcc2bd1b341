import type { Device } from '../spec/types.ts';
import { at, type Site } from './site.ts';

/** The device nodes that every container has. */
export const standardDevices = ['null', 'zero', 'full', 'random', 'urandom', 'tty'] as const;

/**
 * Puts device nodes into the container, as clones of the host's: making nodes takes rights over the whole machine,
 * which a user namespace does not give, and a node in a mount of ours could not be opened there.
 */
export function addDevices(site: Site, devices: readonly Device[]): void {
  const listed = new Set(devices.map(({ path }) => path));
  for (const name of standardDevices) {
    const path = `/dev/${name}`;
    if (!listed.has(path)) cloneDevice(site, path, 'default: /dev');
  }
  devices.forEach((device, i) => {
    const origin = `/linux/devices/${i}`;
    if (device.type === 'p') makeFifo(site, device, origin);
    else if (canMake(site)) makeNode(site, device, origin);
    else cloneDevice(site, device.path, origin);
  });
}

/** Nodes of our own open something only as root of the host, and only on mounts without nodev. */
const canMake = (site: Site) => !site.own.has('user') && site.forced === 0;

function cloneDevice(site: Site, path: string, origin: string): void {
  const { ops } = site;
  const dst = ops.register('device');
  ops.op('clone_mount', { dst, path, recursive: 0 }, origin);
  ops.op('attach', { src: dst, ...at(site, path), ordinary: 0 }, origin);
}

const typeBits = { c: 0o020000, u: 0o020000, b: 0o060000, p: 0o010000 } as const;

function nodeOperands(site: Site, device: Device) {
  const { fileMode = 0o666, major = 0, minor = 0, uid = 0, gid = 0 } = device;
  return { ...at(site, device.path), mode: typeBits[device.type] | (fileMode & 0o7777), major, minor, uid, gid };
}

function makeFifo(site: Site, device: Device, origin: string): void {
  site.ops.op('node', nodeOperands(site, device), origin);
}

/** EPERM: in a nested container not even root makes nodes. EEXIST: the image has one, and ours goes over it. */
function makeNode(site: Site, device: Device, origin: string): void {
  site.ops.op('node', nodeOperands(site, device), origin, { unless: ['EPERM', 'EEXIST'], skip: 2 });
  cloneDevice(site, device.path, origin);
}
