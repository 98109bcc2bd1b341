import { parseReference } from '../../../lib/images/reference.ts';
import { loadRegistryConfig } from '../../../lib/images/registry/config.ts';
import { ImageStore } from '../../../lib/images/store/store.ts';
import { pull } from '../../../lib/images/transfer/pull.ts';

// A process of its own, to be killed: node … pull-once.ts DIRECTORY NAME
const [directory, name] = process.argv.slice(2) as [string, string];
const store = await ImageStore.open(directory);
await pull(store, parseReference(name), {
  config: await loadRegistryConfig({}, { HOME: directory }),
  onProgress: ({ phase, done }) => process.stdout.write(`${phase} ${done}\n`),
});
