import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { type LayerFile, readLayerFile, writeLayerFile } from '../../../lib/layers/layer-file.ts';

const digest = `sha256:${'0'.repeat(64)}`;

function place(): string {
  const directory = mkdtempSync(join(tmpdir(), 'runts-test-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  return directory;
}

const layer = (owners: LayerFile['owners']): LayerFile => ({
  ...{ version: 1, chainId: digest, diffId: digest, digest, size: 1, opaque: [], skipped: [], owners },
});

const owner = (path: string) => ({ path, uid: 1, gid: 2, mode: 0o644 });

test.each([0, 1, 1024, 1025, 3000])('what is written of a layer with %i owners is read again', async (count) => {
  const directory = place();
  const file = layer(Array.from({ length: count }, (_, i) => owner(`dir/${i}`)));
  await writeLayerFile(directory, file);
  expect(await readLayerFile(directory)).toEqual(file);
});
