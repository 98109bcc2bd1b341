// A process that unpacks a layer and says by how many MiB its memory grew meanwhile: memory-process.mjs DIRECTORY ARCHIVE
// DIFF-ID. It runs what is built, for it is measured.
import { readFileSync } from 'node:fs';
import { probeFacts } from '../../dist/lib/host/probe.js';
import { FileChunks } from '../../dist/lib/layers/file-chunks.js';
import { LayerStore } from '../../dist/lib/layers/store.js';
import { createHost } from '../../dist/lib/node/host.js';
import { ownerMaps } from '../../dist/lib/plan/keeper.js';

const [directory, archive, diffId] = process.argv.slice(2);
/** The most that was ever resident, in KiB. */
const peak = () => Number(/VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1]);

const host = createHost();
const facts = await probeFacts(host);
const store = await LayerStore.open(host, directory, { maps: ownerMaps(undefined, facts), devices: facts.privileged });
const before = peak();
await store.ensure({ layers: [{ digest: diffId, diffId, open: () => new FileChunks(archive) }] });
process.stdout.write(`${Math.ceil((peak() - before) / 1024)}`);
