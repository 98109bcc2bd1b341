// A process that reads records and blobs without a descriptor to do it with: shortage-process.mjs DIRECTORY. It prints, for each
// that is there, how reading it failed. It runs what is built.
import { closeSync, mkdirSync, openSync, writeFileSync } from 'node:fs';
import { ImageStore } from '../../dist/lib/images/store/store.js';
import { readContainerFile } from '../../dist/lib/layers/container-file.js';
import { FileChunks } from '../../dist/lib/layers/file-chunks.js';
import { readLayerFile } from '../../dist/lib/layers/layer-file.js';
import { readLimits } from '../../dist/lib/volumes/limits.js';
import { readRecord } from '../../dist/lib/volumes/record.js';

const [directory] = process.argv.slice(2);
mkdirSync(directory, { recursive: true });
for (const name of ['layer.json', 'container.json', '.limits.json', 'volume.json', 'blob']) {
  writeFileSync(`${directory}/${name}`, '{}');
}
const images = await ImageStore.open(`${directory}/images`);
const blob = await images.put(Buffer.from('{}'), 'application/json');

const reads = {
  layer: () => readLayerFile(directory),
  container: () => readContainerFile(directory),
  limits: () => readLimits(directory),
  volume: () => readRecord(directory),
  document: () => images.read(blob),
  verify: () => images.verify(),
  stream: () => new FileChunks(`${directory}/blob`).toArray(),
};
const failures = {};
const held = [];
for (const [what, read] of Object.entries(reads)) {
  try {
    for (;;) held.push(openSync('/dev/null'));
  } catch {}
  const found = await read().catch((error) => error);
  while (held.length > 0) closeSync(held.pop());
  failures[what] = found instanceof Error ? `${found.code} ${found.message}` : `read as ${JSON.stringify(found)}`;
}
process.stdout.write(JSON.stringify(failures));
