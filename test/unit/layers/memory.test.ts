import { tmpdir } from 'node:os';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, onTestFinished, test } from 'vitest';
import { LayerPaths } from '../../../lib/layers/layer-paths.ts';
import { Pages } from '../../../lib/layers/pages.ts';
import { RecordStream } from '../../../lib/layers/records.ts';
import { TarReader } from '../../../lib/layers/tar.ts';
import { LayerTranslator } from '../../../lib/layers/translate.ts';
import { type Member, tar } from '../../support/archives.ts';

const directories = 20_000;

/** What is in use on the heap once nothing is there that could go. */
function heapBytes(): number {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  return process.memoryUsage().heapUsed;
}

function translator(): LayerTranslator {
  const sink = { write: async () => {}, read: async () => undefined, close: () => {} };
  const memory = new Pages(tmpdir());
  onTestFinished(() => memory.close());
  const paths = new LayerPaths(memory);
  const options = { form: 'overlay', owners: 'given', isMapped: () => true, devices: false, paths } as const;
  const nothing = async () => undefined;
  const below = { inherited: nothing, linked: nothing, has: async () => false };
  return new LayerTranslator(new RecordStream(sink), 0, options, below);
}

function translate(translator: LayerTranslator, archive: Buffer): void {
  const reader = new TarReader();
  reader.feed(archive);
  for (let event = reader.next(); event !== undefined; event = reader.next()) {
    if (event.kind === 'entry') translator.begin(event.entry);
  }
}

test('little is remembered of each directory of a layer', () => {
  const archive = tar(...Array.from({ length: directories }, (_, i) => ({ name: `some/of-a-great-many-${i}/` })));
  const subject = translator();
  const before = heapBytes();
  translate(subject, archive);
  expect((heapBytes() - before) / directories).toBeLessThan(220);
  expect(subject.opaque.size).toBe(0);
});

const megabyte = 'x'.repeat(1_000_000);
const long = 'x'.repeat(70);

test.each<[string, number, (i: number) => Member]>([
  ['attributes of directories', 17, (i) => ({ name: `d${i}/`, pax: { 'SCHILY.xattr.user.x': megabyte } })],
  [
    'attributes of devices',
    17,
    (i) => ({ name: `d${i}`, type: '3', major: 1, minor: 3, pax: { 'SCHILY.xattr.user.x': megabyte } }),
  ],
  ['opaque directories', 70_000, (i) => ({ name: `${long}/${i}/.wh..wh..opq` })],
])('what is recorded of %s is limited', (_, count, member) => {
  const archive = tar(...Array.from({ length: count }, (_, i) => member(i)));
  expect(() => translate(translator(), archive)).toThrow('it has more than 16777216 bytes of');
});
