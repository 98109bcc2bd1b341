import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ChunkPool } from '../../../lib/layers/chunk-pool.ts';
import { Refused } from '../../../lib/layers/refused.ts';
import { unzstd } from '../../../lib/layers/zstd/unzstd.ts';
import { testIf } from '../../support/requires.ts';

const pool = new ChunkPool();

/** The content of a stream that comes in pieces of so many bytes; each is overwritten when the next one is asked for. */
async function content(bytes: Buffer, pieceBytes = 65_536): Promise<Buffer> {
  async function* pieces(): AsyncGenerator<Buffer> {
    for (let at = 0; at < bytes.length; at += pieceBytes) {
      const piece = Buffer.from(bytes.subarray(at, at + pieceBytes));
      yield piece;
      piece.fill(0x5a);
    }
  }
  const out: Buffer[] = [];
  for await (const chunk of unzstd(pieces(), pool)) {
    out.push(Buffer.from(chunk));
    chunk.fill(0x5a);
    pool.giveBack(chunk);
  }
  return Buffer.concat(out);
}

const zstd = (input: Buffer, ...options: string[]): Buffer =>
  execFileSync('zstd', ['-q', '-c', ...options], { input, maxBuffer: 2 ** 28, stdio: ['pipe', 'pipe', 'ignore'] });

/** Numbers that are the same each time, and of which nobody sees where the next one comes from. */
function* numbers(): Generator<number> {
  for (let state = 1; ; ) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    yield state >>> 8;
  }
}
const random = numbers();
const below = (limit: number): number => random.next().value % limit;

const words = Array.from({ length: 3000 }, () => randomBytes(1 + below(12)).toString('hex'));
const prose = (length: number): Buffer => {
  const text: string[] = [];
  for (let bytes = 0; bytes < length; bytes += text.at(-1)!.length) text.push(`${words[below(below(3000) + 1)]} `);
  return Buffer.from(text.join('')).subarray(0, length);
};
/** Of everything a little: text, noise, stretches of one byte, records of a few, and what was there before. */
const mixed = (length: number): Buffer => {
  const parts: Buffer[] = [];
  for (let bytes = 0; bytes < length; bytes += parts.at(-1)!.length) {
    const size = 1 + below(below(2) ? 40_000 : 400);
    const again = parts[below(parts.length || 1)];
    const kinds = [prose(size), randomBytes(size), Buffer.alloc(size, below(256)), Buffer.alloc(size, 'abcde'), again];
    parts.push(kinds[below(5)] ?? prose(size));
  }
  return Buffer.concat(parts).subarray(0, length);
};

const texts = Buffer.from(Array.from({ length: 8000 }, (_, line) => `line ${line * 7919} of a file\n`).join(''));
const samples: readonly (readonly [string, Buffer])[] = [
  ['nothing', Buffer.alloc(0)],
  ['a byte', Buffer.from('x')],
  ['lines', texts],
  ['prose', prose(200_000)],
  ['noise', randomBytes(150_000)],
  ['zeros', Buffer.alloc(400_000)],
  ['a mix', mixed(300_000)],
];

testIf('zstd').each([
  ['at the lowest level, without a checksum', ['-1', '--no-check']],
  ['as it is done by default', ['-3']],
  ['in a hurry', ['--fast=5']],
  ['at a middle level, with two threads', ['-9', '-T2', '-B512KiB']],
  ['so that others can find stretches again', ['-5', '-T2', '--rsyncable']],
  ['at a high level', ['-19']],
  ['at the highest, with the largest window', ['--ultra', '-22', '--zstd=wlog=25,hlog=16,clog=16']],
  ['at a low one, with the largest window', ['-2', '--long=25']],
  ['with the smallest window, which wraps all the time', ['-7', '--zstd=wlog=10']],
  ['with a window of a few pages', ['-16', '--zstd=wlog=14']],
  ['with a window of one block', ['-12', '--zstd=wlog=17']],
])('what zstd writes is read: %s', async (_name, options) => {
  for (const [name, sample] of samples) {
    // From a stream it does not know the size, and does not write it.
    for (const size of [[], [`--stream-size=${sample.length}`]]) {
      const packed = zstd(sample, ...options, ...size);
      expect((await content(packed)).equals(sample), `${name} ${size}`).toBe(true);
    }
  }
});

testIf('zstd')('a content of any size is read, on the borders of blocks and windows too', async () => {
  const data = mixed(300_000);
  for (const border of [1024, 65_536, 131_072, 262_144]) {
    for (const size of [border - 1, border, border + 1, border + 3]) {
      for (const options of [['-3'], ['-12', '--zstd=wlog=10']]) {
        const sample = data.subarray(data.length - size);
        expect((await content(zstd(sample, ...options))).equals(sample), `${size} ${options}`).toBe(true);
      }
    }
  }
});

testIf('zstd')('a frame for each file is read, from sizes of none on', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'runts-test-'));
  try {
    const files = Array.from({ length: 301 }, (_, size) => mixed(size));
    const names = files.map((file, size) => {
      writeFileSync(join(directory, `${size}`), file);
      return join(directory, `${size}`);
    });
    for (const level of ['-1', '-19']) {
      const packed = zstd(Buffer.alloc(0), level, ...names);
      for (const pieceBytes of [65_536, 7])
        expect((await content(packed, pieceBytes)).equals(Buffer.concat(files)), level).toBe(true);
    }
  } finally {
    rmSync(directory, { recursive: true });
  }
});

testIf('zstd')('it comes in pieces of any size', async () => {
  const sample = mixed(60_000);
  const packed = zstd(sample, '-6', '--zstd=wlog=12');
  for (const pieceBytes of [1, 2, 3, 5, 1021, 4096]) {
    expect((await content(packed, pieceBytes)).equals(sample), `${pieceBytes}`).toBe(true);
  }
});

testIf('zstd')('several frames, and frames to be skipped, are one content', async () => {
  const skippable = Buffer.concat([Buffer.from('572a4d1805000000', 'hex'), Buffer.from('hello')]);
  const joined = Buffer.concat([zstd(texts), skippable, zstd(Buffer.from('end')), skippable]);
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
  ['more than it says', Buffer.from('28b52ffd2002190000616161', 'hex'), /damaged/],
  ['less than it says', Buffer.from('28b52ffd20040900006161', 'hex'), /has less than it says/],
  ['a block beyond its window', Buffer.from('28b52ffd00000b2000', 'hex'), /block is too large/],
])('%s is refused', async (_name, bytes, why) => {
  await expect(content(bytes)).rejects.toSatisfy((error) => error instanceof Refused && why.test(error.message));
});

/** Small frames that have what there is: tables of all kinds, literals of all kinds, blocks of all kinds. */
const small = (): readonly Buffer[] => [
  zstd(prose(600), '-19'),
  zstd(mixed(700), '-19', '--zstd=wlog=10'),
  zstd(Buffer.concat([prose(400), Buffer.alloc(2000, 1), prose(400)]), '-3', '--zstd=wlog=10', '--no-check'),
  zstd(Buffer.alloc(2000, 'abcdefgh'), '-3', '--stream-size=2000'),
];

/** Refused, or other content: never another error, and no more than a block for each of its bytes. */
async function survives(bytes: Buffer, what: string): Promise<void> {
  const found = await content(bytes).catch((error: unknown) => error);
  if (found instanceof Buffer) expect(found.length, what).toBeLessThanOrEqual(bytes.length * 131_072);
  else expect(found, what).toBeInstanceOf(Refused);
}

testIf('zstd')('a frame with any byte of it damaged gives an error of ours, or other content', async () => {
  for (const packed of small()) {
    for (let at = 0; at < packed.length; at++) {
      for (const flip of [0xff, 1 << (at % 8)]) {
        const bytes = Buffer.from(packed);
        bytes[at]! ^= flip;
        await survives(bytes, `byte ${at} of ${packed.toString('hex')}`);
      }
    }
  }
});

testIf('zstd')('a frame that is cut off anywhere is truncated', async () => {
  for (const packed of small()) {
    for (let length = 1; length < packed.length; length++) {
      await expect(content(packed.subarray(0, length))).rejects.toThrow('the compressed data is truncated');
    }
  }
});

testIf('zstd')('data that is damaged in several places gives an error of ours, or other content', async () => {
  const packed = zstd(mixed(60_000), '-8', '--zstd=wlog=13');
  const damage = fc.array(fc.tuple(fc.nat(packed.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 });
  await fc.assert(
    fc.asyncProperty(damage, async (changes) => {
      const bytes = Buffer.from(packed);
      for (const [at, value] of changes) bytes[at] = value;
      await survives(bytes, JSON.stringify(changes));
    }),
    { numRuns: 150, seed: 20 },
  );
});
