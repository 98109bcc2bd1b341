import { RuntsError } from '../errors.ts';
import { withheld } from '../hints.ts';
import type { Handle } from '../host/host.ts';
import { errnoName } from '../program/errno.ts';
import { openFile } from './handle.ts';
import { type NativeHandle, newHandle } from './native.ts';
import { at, call, errno, isType, must, o, statOf, types } from './system.ts';

const path = '/dev/null';
const cloneTree = 1; // OPEN_TREE_CLONE
/** MOUNT_ATTR_RDONLY, MOUNT_ATTR_NOSUID and MOUNT_ATTR_NOEXEC of mount_setattr(2). */
const untouchable = 0x1 | 0x2 | 0x8;
const duplicateAbove = 1030; // F_DUPFD_CLOEXEC

/**
 * A descriptor of ours for a container to have. Where it leads to the null device, that is opened anew, by a mount through
 * which neither its mode nor its owner can be changed (lib/node/null-device.ts).
 */
export function passedOn(fd: number): Handle {
  if (!isNullDevice(fd)) return newHandle(must(call.fcntl(fd, duplicateAbove, 3), 'fcntl', `descriptor ${fd}`));
  kept ??= readonlyMount();
  return openFile(kept === undefined ? path : `/proc/self/fd/${kept.fd}`, o.readwrite);
}

/** Made once: to let go of a mount, a thread waits until every processor has taken notice. */
let kept: NativeHandle | undefined;

/** Undefined where we may not clone mounts, and so are not who owns the device. */
function readonlyMount(): NativeHandle | undefined {
  const fd = call.open_tree(at.cwd, path, cloneTree | o.closeOnExec);
  if (fd < 0) return undefined;
  const mount = newHandle(fd);
  const attributes = new Uint8Array(32);
  attributes[0] = untouchable;
  const refused = call.mount_setattr(fd, '', at.emptyPath, attributes, attributes.length);
  if (refused === 0) return mount;
  mount.close();
  const why = `${errnoName(-refused)} in mount_setattr`;
  throw new RuntsError('ERR_SETUP', `cannot give ${path} to a container so that it cannot be changed: ${why}`, {
    hint: withheld('mount_setattr'),
  });
}

function isNullDevice(fd: number): boolean {
  const found = statOf(fd);
  if (typeof found === 'number' || !isType(found, types.character)) return false;
  return found.device.major === 1 && found.device.minor === 3;
}

/** CAP_SYS_ADMIN over the mounts that we see; see `isPrivileged` of native/addon/system.cc. */
export function isPrivileged(): boolean {
  const refused = -call.open_tree(at.cwd, '', cloneTree | o.closeOnExec);
  return refused === errno.noent || (administers() && (refused === errno.nosys || inUserNamespaceOfHost()));
}

const capabilityVersion3 = 0x20080522;
const sysAdmin = 21;

function administers(): boolean {
  const data = new Uint8Array(24);
  const header = new Uint8Array(new Uint32Array([capabilityVersion3, 0]).buffer);
  if (call.capget(header, data) < 0) return false;
  return ((new DataView(data.buffer).getUint32(0, true) >>> sysAdmin) & 1) === 1;
}

function inUserNamespaceOfHost(): boolean {
  const ofHost = 'user:[4026531837]'; // PROC_USER_INIT_INO of linux/proc_ns.h
  const name = new Uint8Array(64);
  const n = call.readlinkat(at.cwd, '/proc/self/ns/user', name, name.length);
  return n > 0 && String.fromCharCode(...name.subarray(0, n)) === ofHost;
}
