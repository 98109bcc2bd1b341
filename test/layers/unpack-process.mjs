// A process that unpacks an image and says what became of its layers: unpack-process.mjs DIRECTORY ARCHIVE. It runs what is
// built, for it is to begin soon.
import { probeFacts } from '../../dist/lib/host/probe.js';
import { openArchive } from '../../dist/lib/images/archive.js';
import { LayerStore } from '../../dist/lib/layers/store.js';
import { createHost } from '../../dist/lib/node/host.js';
import { ownerMaps } from '../../dist/lib/plan/keeper.js';

const [directory, archive] = process.argv.slice(2);
const host = createHost();
const facts = await probeFacts(host);
const maps = ownerMaps(undefined, facts);
const store = await LayerStore.open(host, directory, { maps, devices: facts.privileged });
const image = await openArchive(archive);
process.stdout.write('begun\n');
await store.ensure(image, {
  onProgress: ({ layer, what }) => void (what === 'done' && process.stdout.write(`done ${layer}\n`)),
});
await image.close();
