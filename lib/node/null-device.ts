import { constants, fstatSync } from 'node:fs';
import { RuntsError } from '../errors.ts';
import { withheld } from '../hints.ts';
import type { Handle } from '../host/host.ts';
import { errnoName } from '../program/errno.ts';
import { isFailure, orThrow } from './failure.ts';
import { type NativeHandle, native } from './native.ts';

const path = '/dev/null';
/** Character device 1:3, as fstat(2) packs it. */
const device = 0x103;
/** MOUNT_ATTR_RDONLY, MOUNT_ATTR_NOSUID and MOUNT_ATTR_NOEXEC of mount_setattr(2). */
const untouchable = 0x1 | 0x2 | 0x8;

/**
 * A descriptor of ours for a container to have. Where it leads to the null device, that is opened anew, by a mount through
 * which neither its mode nor its owner can be changed: root of a container that has no user namespace owns the host's.
 */
export function passedOn(fd: number): Handle {
  return isNullDevice(fd) ? nullDevice(constants.O_RDWR) : orThrow(native.duplicate(fd), `descriptor ${fd}`);
}

/** The null device, to be read from or written to, and nothing else. */
export function nullDevice(flags: number): NativeHandle {
  const through = nullPath();
  return orThrow(native.openFile(through, flags), through);
}

/** By what path it is opened for others. */
export function nullPath(): string {
  kept ??= readonlyMount();
  return kept === undefined ? path : `/proc/self/fd/${kept.fd}`;
}

/** One that is opened when somebody asks for its descriptor; whoever clones an init opens it for that one anew. */
export class NullDevice implements Handle {
  readonly flags: number;
  #opened: NativeHandle | undefined;

  constructor(flags: number) {
    this.flags = flags;
  }

  open(): NativeHandle {
    this.#opened ??= nullDevice(this.flags);
    return this.#opened;
  }

  close(): void {
    this.#opened?.close();
  }
}

/** Made once: to let go of a mount, a thread waits until every processor has taken notice. */
let kept: NativeHandle | undefined;

/** Undefined where we may not clone mounts, and so are not who owns the device. */
function readonlyMount(): NativeHandle | undefined {
  const mount = native.cloneMount(undefined, path, false);
  if (isFailure(mount)) return undefined;
  const refused = native.mountAttributes(mount, untouchable, 0, 0, false);
  if (refused === undefined) return mount;
  mount.close();
  const errno = errnoName(refused.errno);
  throw new RuntsError(
    'ERR_SETUP',
    `cannot give ${path} to a container so that it cannot be changed: ${errno} in mount_setattr`,
    {
      hint: withheld('mount_setattr'),
    },
  );
}

function isNullDevice(fd: number): boolean {
  const stat = fstatSync(fd);
  return stat.isCharacterDevice() && stat.rdev === device;
}
