import { readlinkSync } from 'node:fs';
import { RuntsError } from '../errors.ts';
import type { Handle } from '../host/host.ts';
import { orThrow } from './failure.ts';
import { native } from './native.ts';

/** Node opens its own above those that it was born with, and one of these is the first. */
const nodesOwn = /^anon_inode:\[(eventpoll|eventfd|io_uring)\]$/;

/** One above the last descriptor of our caller's: they are those from 3 on that follow one another. */
const end = firstOfOurs();

/**
 * A descriptor that our caller gave us. Which those are is looked at once, when this is loaded, which in the command is
 * before anything of ours is open: later a number may be anybody's. A gap ends them, as it does for those who count them
 * (LISTEN_FDS, `--preserve-fds`), and so does a descriptor of a kind that Node has for itself.
 */
export function inherited(fd: number): Handle | undefined {
  if (!Number.isInteger(fd) || fd < 0) {
    throw new RuntsError('ERR_SPEC', `a descriptor is a number from 0 on, not ${String(fd)}`);
  }
  if (fd >= end || linkOf(fd) === undefined) return undefined;
  return orThrow(native.duplicate(fd), `descriptor ${fd}`);
}

function firstOfOurs(): number {
  for (let fd = 3; ; fd++) {
    const link = linkOf(fd);
    if (link === undefined || nodesOwn.test(link)) return fd;
  }
}

function linkOf(fd: number): string | undefined {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return undefined;
  }
}
