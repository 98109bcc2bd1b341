import { RuntsError } from '../errors.ts';
import { refused } from './failure.ts';
import type { Host } from './host.ts';

/** Removes groups of resctrl that were made for a container. */
export async function removeGroups(host: Host, paths: readonly string[]): Promise<void> {
  for (const path of paths) await host.files.removeDirectory(path);
}

/** Changes the schemata of a container's group. */
export async function updateGroup(
  host: Host,
  paths: readonly string[] | undefined,
  schemata: readonly string[],
): Promise<void> {
  const path = paths?.[0];
  if (path === undefined) {
    throw new RuntsError('ERR_UNSUPPORTED', 'the container has no group of Intel RDT of its own', {
      hint: 'Its configuration needs linux.intelRdt.',
    });
  }
  for (const line of schemata) {
    await host.files.write(`${path}/schemata`, `${line}\n`).catch((error: unknown) => {
      throw refused(error, { at: 'cgroup', doing: `write ${JSON.stringify(line)} to ${path}/schemata` });
    });
  }
}
