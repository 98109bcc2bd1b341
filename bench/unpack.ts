// npm run bench:unpack [-- --runs N] [--directory PATH]: an image of one layer, 170 MB in 9,000 files, unpacked by the layer
// store, by GNU tar, and by umoci after skopeo, in turn. Prints medians and ratios to GNU tar.
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream, existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { parseArgs } from 'node:util';
import { removeTrees } from '../lib/host/layers.js';
import { probeFacts } from '../lib/host/probe.js';
import { FileChunks } from '../lib/layers/file-chunks.js';
import { LayerStore } from '../lib/layers/store.js';
import { createHost } from '../lib/node/host.js';
import { ownerMaps } from '../lib/plan/keeper.js';

const files = 9000;
const megabytes = 170;

const { values } = parseArgs({
  options: { runs: { type: 'string', default: '5' }, directory: { type: 'string', default: tmpdir() } },
});
const runs = Number(values.runs);

async function main(): Promise<void> {
  const directory = mkdtempSync(join(values.directory, 'runts-bench-'));
  const host = createHost();
  const facts = await probeFacts(host);
  const maps = ownerMaps(undefined, facts);
  try {
    const archive = join(directory, 'layer.tar');
    makeArchive(directory, archive);
    execFileSync('sh', ['-c', `gzip -6 < ${archive} > ${archive}.gz`]);
    if (has('zstd')) execFileSync('zstd', ['-q', '-3', archive, '-o', `${archive}.zst`]);
    const diffId = await digestOf(archive);
    const remove = (name: string) => removeTrees(host, directory, [name], maps);
    const layers = join(directory, 'layers');
    let peak = 0;
    const ours = async (path: string): Promise<void> => {
      const store = await LayerStore.open(host, layers, { maps, devices: facts.privileged });
      const layer = { digest: diffId, diffId, open: () => new FileChunks(path) };
      const before = process.memoryUsage.rss();
      const watch = setInterval(() => {
        peak = Math.max(peak, process.memoryUsage.rss() - before);
      }, 20);
      await store.ensure({ layers: [layer] });
      clearInterval(watch);
    };
    const gnu = (path: string): void => {
      mkdirSync(join(directory, 'gnu'));
      execFileSync('tar', ['-xpf', path, '-C', join(directory, 'gnu')]);
    };
    const subjects: Subject[] = [];
    for (const [kind, path] of [
      ['plain', archive],
      ['gzip', `${archive}.gz`],
      ['zstd', `${archive}.zst`],
    ] as const) {
      if (!existsSync(path)) continue;
      subjects.push({ kind, name: 'GNU tar', run: () => gnu(path), clean: () => remove('gnu') });
      subjects.push({ kind, name: 'runts', run: () => ours(path), clean: () => remove('layers') });
    }
    if (has('umoci') && facts.privileged) {
      makeLayout(directory, archive, diffId);
      const bundle = join(directory, 'bundle');
      const unpack = () => void execFileSync('umoci', ['unpack', '--image', `${directory}/layout:x`, bundle]);
      subjects.push({ kind: 'gzip', name: 'umoci', run: unpack, clean: () => remove('bundle') });
    }
    await measure(subjects);
    console.log(`memory of this process grew by ${Math.round(peak / 2 ** 20)} MiB at most`);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

interface Subject {
  readonly kind: string;
  readonly name: string;
  run(): void | Promise<void>;
  clean(): Promise<void>;
}

async function measure(subjects: readonly Subject[]): Promise<void> {
  const times = new Map<Subject, number[]>(subjects.map((subject) => [subject, []]));
  for (let i = 0; i < runs; i++) {
    for (const subject of subjects) {
      // What was written before is not to be waited for now.
      execFileSync('sync');
      const start = performance.now();
      await subject.run();
      times.get(subject)!.push(performance.now() - start);
      await subject.clean();
    }
  }
  const median = (subject: Subject) => times.get(subject)!.sort((a, b) => a - b)[Math.floor(runs / 2)]!;
  for (const subject of subjects) {
    const base = subjects.find(({ kind, name }) => kind === subject.kind && name === 'GNU tar')!;
    const ms = median(subject);
    console.log(
      `${subject.kind.padEnd(6)} ${subject.name.padEnd(8)} ${ms.toFixed(0).padStart(6)} ms  ${(ms / median(base)).toFixed(2)}`,
    );
  }
}

/** Files of sizes as in a distribution: many small ones, a few large. */
function makeArchive(directory: string, archive: string): void {
  const tree = join(directory, 'tree');
  const unit = (megabytes * 2 ** 20) / files;
  for (let i = 0; i < files; i++) {
    const place = join(tree, `d${i % 30}`, `e${i % 300}`);
    if (i < 300) mkdirSync(place, { recursive: true });
    // On average the unit: nine in ten a third of it, the rest seven times as much.
    const size = Math.round(i % 10 === 0 ? unit * 7 : unit / 3);
    const line = createHash('sha256').update(`${i}`).digest('base64');
    writeFileSync(join(place, `f${i}`), `${line} ${i}\n`.repeat(Math.ceil(size / 48)).slice(0, size));
  }
  execFileSync('tar', ['--sort=name', '--owner=0', '--group=0', '--numeric-owner', '-cf', archive, '-C', tree, '.']);
  rmSync(tree, { recursive: true });
  console.log(`a layer of ${files} files, ${Math.round(statSync(archive).size / 2 ** 20)} MiB, in ${directory}`);
}

async function digestOf(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return `sha256:${hash.digest('hex')}`;
}

function makeLayout(directory: string, archive: string, diffId: string): void {
  const layout = join(directory, 'layout');
  execFileSync('umoci', ['init', '--layout', layout]);
  execFileSync('umoci', ['new', '--image', `${layout}:x`]);
  execFileSync('umoci', ['raw', 'add-layer', '--image', `${layout}:x`, archive]);
  if (diffId === '') throw new Error('the archive has no digest');
}

const has = (program: string): boolean => spawnSync(program, ['--version']).error === undefined;

await main();
