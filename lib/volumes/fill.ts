import { mkdir, rename, rmdir } from 'node:fs/promises';
import type { Host } from '../host/host.ts';
import { removeTrees } from '../host/layers.ts';
import { copyDirectory } from '../layers/copy-directory.ts';
import type { Maps } from '../plan/plan.ts';

/** What a volume is filled with is beside it until it is whole. */
const fresh = '_fill';

/** What an empty volume gets of the image. Beside it first: it is filled whole, however this process ends. */
export async function fill(
  host: Host,
  directory: string,
  from: {
    readonly container: string;
    readonly path: string;
    readonly maps: Maps | undefined;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  const target = `${directory}/${fresh}`;
  await clearFill(host, directory, from.maps);
  await mkdir(target, { mode: 0o755 });
  try {
    if (await copyDirectory(host, { ...from, target })) await rename(target, `${directory}/_data`);
    else await rmdir(target);
  } catch (error) {
    await clearFill(host, directory, from.maps).catch(() => undefined);
    throw error;
  }
}

/** Removes what somebody has left who was killed while the volume was filled. */
export async function clearFill(host: Host, directory: string, maps: Maps | undefined): Promise<void> {
  if ((await host.files.kind(`${directory}/${fresh}`)) === undefined) return;
  await removeTrees(host, directory, [fresh], maps);
}
