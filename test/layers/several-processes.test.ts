import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect } from 'vitest';
import { dockerFiles, packFiles, tar } from '../support/archives.ts';
import { removeData } from '../support/remove-data.ts';
import { testIf } from '../support/requires.ts';

const test = testIf('userns');
const here = fileURLToPath(new URL('.', import.meta.url));

let directory: string;
let archive: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'runts-test-'));
  chmodSync(directory, 0o700);
  archive = join(directory, 'image.tar');
  const files = (layer: number) =>
    Array.from({ length: 400 }, (_, i) => ({ name: `d${i % 20}/l${layer}-${i}`, content: `${i}`.repeat(500) }));
  const layers = [0, 1, 2].map((layer) => tar(...files(layer)));
  writeFileSync(archive, packFiles(dockerFiles({ layers })));
});
afterAll(async () => {
  for (const name of readdirSync(directory)) if (name !== 'image.tar') await removeData(join(directory, name));
  rmSync(directory, { recursive: true, force: true });
});

/** A process of its own that unpacks the image. */
function unpacking(store: string) {
  const args = [join(here, 'unpack-process.mjs'), join(directory, store), archive];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (more: string) => {
    text += more;
  });
  const ended = once(child, 'close').then(([code, signal]) => ({ code, signal, text }));
  return { child, ended };
}

const names = (store: string) => readdirSync(join(directory, store)).filter((name) => name !== 'locks');
const count = (store: string) =>
  Number(execFileSync('sh', ['-c', 'find . -type f -name "l*-*" | wc -l'], { cwd: join(directory, store) }));

test('of two processes that unpack an image at once, one makes each layer, and both have all of it', async () => {
  const both = [unpacking('shared'), unpacking('shared')];
  const ended = await Promise.all(both.map((each) => each.ended));
  expect(ended.map(({ code }) => code)).toEqual([0, 0]);
  const done = ended.flatMap(({ text }) => text.split('\n').filter((line) => line.startsWith('done')));
  expect(done.sort()).toEqual(['done 0', 'done 1', 'done 2']);
  expect(names('shared').filter((name) => name.startsWith('.'))).toEqual([]);
  expect(count('shared')).toBe(1200);
});

test('a process that is killed while it unpacks leaves nothing that the next one would take for whole', async () => {
  for (const afterMs of [0, 5, 20, 60]) {
    const { child, ended } = unpacking('killed');
    await once(child.stdout, 'data');
    await sleep(afterMs * Math.random() * 2);
    child.kill('SIGKILL');
    await ended;
  }
  expect(await unpacking('killed').ended).toMatchObject({ code: 0 });
  expect(names('killed').filter((name) => name.startsWith('.'))).toEqual([]);
  expect(names('killed')).toHaveLength(3);
  expect(count('killed')).toBe(1200);
});
