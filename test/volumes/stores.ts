import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { usualMaps } from '../../lib/host/image.ts';
import { probeFacts } from '../../lib/host/probe.ts';
import { createHost } from '../../lib/node/host.ts';
import { Volumes, type VolumesOptions } from '../../lib/volumes/volumes.ts';
import { removeData } from '../support/remove-data.ts';

const facts = probeFacts(createHost());

/** The volumes of a data directory; of one of their own that goes with the test, unless another is named. */
export function volumesIn(data: string, options: Partial<VolumesOptions> = {}): Volumes {
  const host = createHost();
  const environment = { ...host.environment, dataDirectory: data };
  return new Volumes({ host: { ...host, environment }, maps: async () => usualMaps(await facts).stored, ...options });
}

export function temporaryData(): string {
  const directory = mkdtempSync(join(tmpdir(), 'runts-test-'));
  onTestFinished(async () => {
    await removeData(join(directory, 'data'));
    rmSync(directory, { recursive: true, force: true });
  });
  return join(directory, 'data');
}
