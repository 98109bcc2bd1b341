// npm run bench:pull [-- --runs N] [--directory PATH] [--megabytes N]: an image of four layers at a registry on this machine,
// pulled and unpacked by runts, by skopeo with umoci, and by podman, in turn; and its layers, which are there already,
// unpacked by GNU tar. Prints medians and ratios to GNU tar.
import { execFileSync, type SpawnOptions, spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { createRuntime } from '../lib/index.js';

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '5' },
    directory: { type: 'string', default: tmpdir() },
    megabytes: { type: 'string', default: '120' },
  },
});
const runs = Number(values.runs);
const layerCount = 4;
const filesPerLayer = 1500;
const cli = fileURLToPath(new URL('../../bin/runts.js', import.meta.url));

interface Subject {
  readonly name: string;
  run(place: string): unknown;
}

async function main(): Promise<void> {
  const directory = mkdtempSync(join(values.directory, 'runts-bench-'));
  const registry = await startRegistry(directory);
  try {
    const layers = Array.from({ length: layerCount }, (_, i) => makeLayer(directory, i));
    const image = `${registry.host}/bench:1`;
    writeLayout(join(directory, 'layout'), layers);
    const copy = ['--insecure-policy', 'copy', '-q'];
    execFileSync('skopeo', [...copy, '--dest-tls-verify=false', `oci:${directory}/layout:x`, `docker://${image}`]);
    const all = subjects(image, layers).filter(({ name, run }) =>
      isPossible(name, () => run(mkdtempSync(join(directory, 'trial-')))),
    );
    await measure(all, directory);
  } finally {
    registry.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

function subjects(image: string, layers: readonly Layer[]): Subject[] {
  const run = (program: string, args: readonly string[], options: SpawnOptions = {}) =>
    void execFileSync(program, args, { stdio: ['ignore', 'ignore', 'pipe'], ...(options as object) });
  return [
    {
      name: 'GNU tar',
      run(place) {
        for (const [i, { path }] of layers.entries()) {
          mkdirSync(join(place, String(i)), { recursive: true });
          run('tar', ['-xpzf', path, '-C', join(place, String(i))]);
        }
      },
    },
    {
      name: 'runts, command line',
      run: (place) =>
        run(process.execPath, [cli, 'pull', '-q', image], { env: { ...process.env, XDG_DATA_HOME: place } }),
    },
    {
      name: 'runts, library',
      async run(place) {
        const runtime = createRuntime({ root: join(place, 'runts') });
        await runtime.images.pull(image);
      },
    },
    {
      name: 'skopeo and umoci',
      run(place) {
        mkdirSync(place, { recursive: true });
        const copy = ['--insecure-policy', 'copy', '-q', '--src-tls-verify=false'];
        run('skopeo', [...copy, `docker://${image}`, `oci:${place}/layout:x`]);
        run('umoci', ['unpack', ...rootless, '--image', `${place}/layout:x`, `${place}/bundle`]);
      },
    },
    ...['vfs', 'overlay'].map((driver) => ({
      name: `podman, ${driver}`,
      run(place: string) {
        const store = ['--root', join(place, 'root'), '--runroot', join(place, 'run'), '--storage-driver', driver];
        run('podman', [...store, 'pull', '-q', '--tls-verify=false', image]);
      },
    })),
  ];
}

const rootless = process.getuid?.() === 0 ? [] : ['--rootless'];

function isPossible(name: string, once: () => unknown): boolean {
  if (name.startsWith('runts')) return true;
  try {
    once();
    return true;
  } catch (error) {
    console.log(
      `${name}: not here: ${String((error as Error).message)
        .split('\n')
        .slice(0, 2)
        .join(' ')}`,
    );
    return false;
  }
}

async function measure(all: readonly Subject[], directory: string): Promise<void> {
  const times = new Map(all.map(({ name }) => [name, [] as number[]]));
  for (let i = 0; i < runs; i++) {
    for (const { name, run } of all) {
      const place = join(directory, `p-${i}-${name.replace(/[^a-z]/gi, '')}`);
      mkdirSync(place);
      // What was written before is not to be waited for now.
      execFileSync('sync');
      const start = performance.now();
      await run(place);
      times.get(name)!.push(performance.now() - start);
      remove(place);
    }
  }
  const median = (name: string) => [...times.get(name)!].sort((a, b) => a - b)[Math.floor(runs / 2)]!;
  for (const { name } of all) {
    const ms = median(name);
    const least = Math.min(...times.get(name)!);
    const ratio = (ms / median('GNU tar')).toFixed(2);
    console.log(`${name.padEnd(20)} ${ms.toFixed(0).padStart(6)} ms  least ${least.toFixed(0).padStart(6)}  ${ratio}`);
  }
}

/** As an ordinary user, what was unpacked belongs to ids that a user namespace has. */
function remove(place: string): void {
  const words = process.getuid?.() === 0 ? [] : ['podman', 'unshare'];
  const [program = 'rm', ...args] = [...words, 'rm', '-rf', place];
  spawnSync(program, args);
}

// ---- an image and a registry -----------------------------------------------------------------------------------------

interface Layer {
  readonly path: string;
  readonly diffId: string;
}

/** Files of sizes as in a distribution: many small ones, a few large; as well to be compressed as programs are. */
function makeLayer(directory: string, index: number): Layer {
  const tree = join(directory, `tree${index}`);
  const unit = (Number(values.megabytes) * 2 ** 20) / layerCount / filesPerLayer;
  for (let i = 0; i < filesPerLayer; i++) {
    const place = join(tree, `l${index}`, `d${i % 30}`);
    if (i < 30) mkdirSync(place, { recursive: true });
    const size = Math.round(i % 10 === 0 ? unit * 7 : unit / 3);
    const pieces: Buffer[] = [];
    for (let bytes = 0, n = 0; bytes < size; bytes += 96, n++) {
      const piece = createHash('sha256').update(`${index} ${i} ${n}`).digest();
      pieces.push(piece, piece, piece);
    }
    writeFileSync(join(place, `f${i}`), Buffer.concat(pieces).subarray(0, size));
  }
  const archive = join(directory, `layer${index}.tar`);
  execFileSync('tar', ['--sort=name', '--owner=0', '--group=0', '--numeric-owner', '-cf', archive, '-C', tree, '.']);
  rmSync(tree, { recursive: true });
  const diffId = digestOf(readFileSync(archive));
  execFileSync('gzip', ['-n', archive]);
  return { path: `${archive}.gz`, diffId };
}

const digestOf = (bytes: Uint8Array): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

function writeLayout(layout: string, layers: readonly Layer[]): void {
  const blobs = join(layout, 'blobs/sha256');
  mkdirSync(blobs, { recursive: true });
  const put = (bytes: Uint8Array | string, mediaType: string) => {
    const content = Buffer.from(bytes);
    const digest = digestOf(content);
    writeFileSync(join(blobs, `${digest.slice(7)}.new`), content);
    renameSync(join(blobs, `${digest.slice(7)}.new`), join(blobs, digest.slice(7)));
    return { mediaType, digest, size: content.length };
  };
  const oci = 'application/vnd.oci.image';
  const architecture = process.arch === 'x64' ? 'amd64' : process.arch;
  const rootfs = { type: 'layers', diff_ids: layers.map(({ diffId }) => diffId) };
  const config = put(JSON.stringify({ architecture, os: 'linux', config: {}, rootfs }), `${oci}.config.v1+json`);
  const stored = layers.map(({ path }) => put(readFileSync(path), `${oci}.layer.v1.tar+gzip`));
  const mediaType = `${oci}.manifest.v1+json`;
  const manifest = put(JSON.stringify({ schemaVersion: 2, mediaType, config, layers: stored }), mediaType);
  const annotations = { 'org.opencontainers.image.ref.name': 'x' };
  writeFileSync(
    join(layout, 'index.json'),
    JSON.stringify({ schemaVersion: 2, manifests: [{ ...manifest, annotations }] }),
  );
  writeFileSync(join(layout, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
  const bytes = stored.reduce((sum, { size }) => sum + size, 0);
  console.log(
    `${layers.length} layers, ${layerCount * filesPerLayer} files, ${Math.round(bytes / 2 ** 20)} MiB compressed`,
  );
}

async function startRegistry(directory: string): Promise<{ readonly host: string; stop(): void }> {
  const file = join(directory, 'registry.json');
  const storage = { filesystem: { rootdirectory: join(directory, 'registry') } };
  const http = { addr: '127.0.0.1:0', secret: 'of-this-bench' };
  writeFileSync(file, JSON.stringify({ version: 0.1, log: { level: 'info' }, storage, http }));
  const child = spawn('docker-registry', ['serve', file], { stdio: ['ignore', 'pipe', 'pipe'] });
  const host = await new Promise<string>((resolve, reject) => {
    let said = '';
    const hear = (chunk: Buffer): void => {
      said += chunk;
      const port = /listening on [^"]*?:(\d+)/.exec(said)?.[1];
      if (port !== undefined) resolve(`127.0.0.1:${port}`);
    };
    child.stdout.on('data', hear);
    child.stderr.on('data', hear);
    child.once('error', () =>
      reject(new Error('this takes docker-registry (Debian: docker-registry), skopeo and umoci')),
    );
    child.once('exit', () => reject(new Error(`docker-registry ended: ${said}`)));
  });
  return { host, stop: () => void child.kill('SIGKILL') };
}

await main();
