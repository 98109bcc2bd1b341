import { RuntsError } from '../errors.ts';
import type { Handle } from '../host/host.ts';
import { newHandle } from './native.ts';
import { call, must } from './system.ts';

const [getFlags, duplicateAbove] = [1, 1030]; // F_GETFD, F_DUPFD_CLOEXEC
const isOpen = (fd: number): boolean => call.fcntl(fd, getFlags) >= 0;

/** One above the last descriptor of our caller's. */
let end = 3;

/** They are those from 3 on that follow one another: looked at before we open any. */
export function countInherited(): void {
  while (isOpen(end)) end++;
}

/** A descriptor that our caller gave us. */
export function inherited(fd: number): Handle | undefined {
  if (!Number.isInteger(fd) || fd < 0) {
    throw new RuntsError('ERR_SPEC', `a descriptor is a number from 0 on, not ${String(fd)}`);
  }
  if (fd >= end || !isOpen(fd)) return undefined;
  return newHandle(must(call.fcntl(fd, duplicateAbove, 3), 'fcntl', `descriptor ${fd}`));
}
