import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ChunkPool } from '../../../lib/layers/chunk-pool.ts';
import { Refused } from '../../../lib/layers/refused.ts';
import { unzstd } from '../../../lib/layers/zstd/unzstd.ts';
import { testIf } from '../../support/requires.ts';

/** The content of a stream that comes in pieces of so many bytes. */
async function content(bytes: Buffer, pieceBytes = 65_536): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += pieceBytes) pieces.push(bytes.subarray(at, at + pieceBytes));
  const out: Buffer[] = [];
  for await (const chunk of unzstd(Readable.from(pieces), new ChunkPool())) out.push(chunk);
  return Buffer.concat(out);
}

const zstd = (input: Buffer, ...options: string[]): Buffer =>
  execFileSync('zstd', ['-q', '-c', ...options], { input, maxBuffer: 2 ** 28 });

const texts = Buffer.from(Array.from({ length: 12_000 }, (_, line) => `line ${line * 7919} of a file\n`).join(''));
const samples: readonly (readonly [string, Buffer])[] = [
  ['nothing', Buffer.alloc(0)],
  ['a byte', Buffer.from('x')],
  ['text', texts],
  ['noise', randomBytes(200_000)],
  ['zeros', Buffer.alloc(400_000)],
];

testIf('zstd')('what zstd writes is read, at any level, with and without checksums, in any pieces', async () => {
  for (const [name, sample] of samples) {
    const most = name === 'text' ? [['--ultra', '-20', '--long=25']] : [];
    for (const options of [['-1'], ['-3', '--no-check'], ['-19'], ...most]) {
      const packed = zstd(sample, ...options);
      for (const pieceBytes of [65_536, 3]) {
        if (packed.length / pieceBytes > 5000) continue;
        const found = await content(packed, pieceBytes);
        expect(found.equals(sample), `${name} ${options} ${pieceBytes}`).toBe(true);
      }
    }
  }
});

testIf('zstd')('several frames, and frames to be skipped, are one content', async () => {
  const skippable = Buffer.from('572a4d1805000000hello'.slice(0, 16), 'hex');
  const joined = Buffer.concat([zstd(texts), skippable, Buffer.from('hello'), zstd(Buffer.from('end'))]);
  expect((await content(joined)).equals(Buffer.concat([texts, Buffer.from('end')]))).toBe(true);
});

/** A frame with one block of a megabyte and more would be damaged; one with a window of its own size wants that much memory. */
const frameOf = (windowDescriptor: number, ...blocks: Buffer[]): Buffer =>
  Buffer.concat([Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x00, windowDescriptor]), ...blocks]);

const repeated = (isLast: boolean): Buffer => {
  const header = Buffer.alloc(4, 0x61);
  header.writeUIntLE((131_072 << 3) | (1 << 1) | (isLast ? 1 : 0), 0, 3);
  return header;
};

test('a few bytes that stand for many are given in pieces that bound what is kept', async () => {
  const bomb = frameOf(0x50, ...Array.from({ length: 999 }, () => repeated(false)), repeated(true));
  let bytes = 0;
  for await (const chunk of unzstd(Readable.from([bomb]), new ChunkPool())) {
    expect(chunk.length).toBeLessThanOrEqual(262_144);
    bytes += chunk.length;
  }
  expect(bytes).toBe(1000 * 131_072);
});

test.each([
  ['cut off', frameOf(0x50, repeated(false)), /truncated/],
  ['a window of 64 MiB', frameOf(0x80, repeated(true)), /wants 67108864 bytes/],
  ['a block of no kind', frameOf(0x50, Buffer.from([0x07, 0x00, 0x00])), /damaged/],
  ['a dictionary', Buffer.from('28b52ffd0150070000', 'hex'), /dictionary/],
  ['other data after the end', Buffer.concat([frameOf(0x50, repeated(true)), Buffer.from('more')]), /other data/],
  ['half a magic number', Buffer.from([0x28, 0xb5]), /truncated/],
])('%s is refused', async (_name, bytes, why) => {
  await expect(content(bytes)).rejects.toSatisfy((error) => error instanceof Refused && why.test(error.message));
});

testIf('zstd')('damaged data gives an error of ours, or other content, and no more than is allowed', async () => {
  const packed = zstd(texts.subarray(0, 200_000));
  const damage = fc.array(fc.tuple(fc.nat(packed.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 });
  await fc.assert(
    fc.asyncProperty(damage, async (changes) => {
      const bytes = Buffer.from(packed);
      for (const [at, value] of changes) bytes[at] = value;
      await content(bytes).catch((error: unknown) => expect(error).toBeInstanceOf(Refused));
    }),
    { numRuns: 150, seed: 20 },
  );
});
