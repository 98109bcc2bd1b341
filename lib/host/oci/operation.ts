import { bounded } from '../bounded.ts';
import { type Attempt, refused } from '../failure.ts';
import type { Host } from '../host.ts';
import { frameDeadlineMs } from '../session.ts';

/**
 * One operation on a container: every call of a port in it ends by a deadline, and what the host refuses is told as an error
 * of ours, with what was being done.
 */
export async function operation<T>(
  host: Host,
  doing: string,
  work: (host: Host) => Promise<T>,
  deadlineMs = frameDeadlineMs,
): Promise<T> {
  try {
    return await work(bounded(host, { deadlineMs }));
  } catch (error) {
    throw refused(error, { at: 'state', doing } satisfies Attempt);
  }
}
