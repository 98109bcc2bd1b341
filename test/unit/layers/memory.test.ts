import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { LayerPaths } from '../../../lib/layers/layer-paths.ts';
import { Pages } from '../../../lib/layers/pages.ts';
import { RecordStream } from '../../../lib/layers/records.ts';
import { TarReader } from '../../../lib/layers/tar.ts';
import { LayerTranslator } from '../../../lib/layers/translate.ts';
import { tar } from '../../support/archives.ts';

const directories = 20_000;

/** What is in use on the heap once nothing is there that could go. */
function heapBytes(): number {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  return process.memoryUsage().heapUsed;
}

test('little is remembered of each directory of a layer', () => {
  const archive = tar(...Array.from({ length: directories }, (_, i) => ({ name: `some/of-a-great-many-${i}/` })));
  const sink = { write: async () => {}, read: async () => undefined, close: () => {} };
  const paths = new LayerPaths(new Pages('/nonexistent'));
  const options = { form: 'overlay', owners: 'given', isMapped: () => true, devices: true, paths } as const;
  const nothing = async () => undefined;
  const translator = new LayerTranslator(new RecordStream(sink), 0, options, {
    inherited: nothing,
    linked: nothing,
    has: async () => false,
  });
  const before = heapBytes();
  const reader = new TarReader();
  reader.feed(archive);
  for (let event = reader.next(); event !== undefined; event = reader.next()) {
    if (event.kind === 'entry') translator.begin(event.entry);
  }
  expect((heapBytes() - before) / directories).toBeLessThan(220);
  expect(translator.opaque.size).toBe(0);
});
