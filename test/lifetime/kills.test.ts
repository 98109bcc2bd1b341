import { spawn } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect } from 'vitest';
import { createRuntime, type MountRequest, type ServedDriver, serveVolumeDriver } from '../../lib/index.ts';
import { tar } from '../support/archives.ts';
import { descendants, isAlive, look } from '../support/look.ts';
import { patience } from '../support/patience.ts';
import { removeData } from '../support/remove-data.ts';
import { testIf } from '../support/requires.ts';

/** `npm run test:kills` has 200. */
const kills = Number(process.env['RUNTS_KILLS'] ?? 10);
const seed = Number(process.env['RUNTS_SEED'] ?? 1);
const drivers = process.env['RUNTS_DRIVER'] === undefined ? [] : [process.env['RUNTS_DRIVER']];
/** Within this, everything is gone. */
const goneMs = 60_000 * patience;
/** It is killed at a moment within this time after its first word. */
const busyMs = 2000;

interface Bench {
  readonly directory: string;
  readonly root: string;
  /** What was there before, and stays. */
  readonly files: readonly string[];
  /** What the plugin has, and what of it is mounted, by its ids. */
  readonly far: { readonly volumes: Set<string>; readonly mounts: Set<string> };
}

const plugins: ServedDriver[] = [];
const benches: Bench[] = [];

beforeAll(async () => {
  for (const n of [0, 1]) benches.push(await makeBench(n));
}, 120_000);

afterAll(async () => {
  for (const plugin of plugins) await plugin[Symbol.asyncDispose]();
  for (const { directory, root } of benches) {
    await removeData(root);
    rmSync(directory, { recursive: true, force: true });
  }
}, 120_000);

testIf('userns', 'busybox')(
  'an ephemeral runtime that is killed at any moment leaves nothing, and takes nothing of others',
  { timeout: kills * 30_000 + 60_000 },
  async () => {
    const took: number[] = [];
    const waiting = Array.from({ length: kills }, (_, i) => seed * 1000 + i);
    await Promise.all(
      benches.map(async (bench) => {
        for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
          took.push(await killOne(bench, next));
        }
      }),
    );
    took.sort((a, b) => a - b);
    const [median, most] = [took[took.length >> 1], took.at(-1)].map((ms) => Math.round(ms ?? 0));
    process.stderr.write(
      `${kills} kills from seed ${seed}: all gone after ${median} ms (median), ${most} ms at most\n`,
    );
    expect(took).toHaveLength(kills);
  },
);

/** One runtime, killed. How long it took until all of it was gone, in milliseconds. */
async function killOne(bench: Bench, of: number): Promise<number> {
  const { directory, root } = bench;
  const token = `kill${process.pid}x${of}`;
  const mounts = look().mounts;
  const settings = {
    ...{ root, state: join(directory, 'state'), plugins: [directory], seed: of, token },
    ...{ image: 'kept:1', removable: 'kept:2', archive: join(directory, 'root.tar'), driver: drivers[0] },
  };
  const file = new URL('fixtures/busy.mjs', import.meta.url).pathname;
  const child = spawn(process.execPath, [file, JSON.stringify(settings)], { stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  child.stderr.on('data', (text) => {
    said += text;
  });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  await Promise.race([new Promise((resolve) => child.stdout.once('data', resolve)), ended]);
  await Promise.race([sleep(moment(of)), ended]);
  expect({ seed: of, code: child.exitCode, said }).toEqual({ seed: of, code: null, said: '' });
  // Stopped, it makes no more of them while we count.
  child.kill('SIGSTOP');
  await sleep(5);
  const pids = descendants(child.pid);
  const containers = containersOf(root);
  child.kill('SIGKILL');
  const began = performance.now();
  await ended;
  for (;;) {
    const left = [...whatIsLeft(bench, pids, token, mounts), ...cgroupsOf(containers)];
    if (left.length === 0) return performance.now() - began;

    if (performance.now() - began > goneMs) expect({ seed: of, left }).toEqual({ seed: of, left: [] });
    await sleep(100);
  }
}

/** Not the same for all of them: early moments are those of beginnings. */
const moment = (of: number): number => ((of * 0.6180339887) % 1) ** 2 * busyMs;

function whatIsLeft(bench: Bench, pids: readonly number[], token: string, mounts: readonly string[]): string[] {
  const { root, files, far } = bench;
  return [
    ...pids.filter(isAlive).map((pid) => `process ${pid} ${textOf(`/proc/${pid}/comm`).trim()}`),
    ...processesWith(token).map((pid) => `process ${pid} of a container`),
    ...processesWith(`"root":"${root}"`).map((pid) => `process ${pid} that cleans up`),
    ...look().mounts.filter((mount) => !mounts.includes(mount) && mount.includes(root)),
    ...filesOf(root).filter((path) => !files.includes(path)),
    ...files.filter((path) => !existsSync(join(root, path))).map((path) => `no ${path} any more`),
    ...[...far.volumes].filter((name) => name !== 'kept-far').map((name) => `volume ${name} of the plugin`),
    ...[...far.mounts].map((id) => `mount ${id} of the plugin`),
  ];
}

/** A data directory with an image and volumes that belong to nobody, and a plugin. */
async function makeBench(n: number): Promise<Bench> {
  const directory = mkdtempSync(join(tmpdir(), 'runts-test-'));
  chmodSync(directory, 0o755);
  const root = join(directory, 'data');
  const far = { volumes: new Set<string>(), mounts: new Set<string>() };
  plugins.push(
    await serveVolumeDriver(
      {
        name: 'far',
        create: async ({ name }) => void far.volumes.add(name),
        remove: async ({ name }) => void far.volumes.delete(name),
        mount: async ({ name }: MountRequest) => {
          far.mounts.add(name);
          mkdirSync(join(directory, 'far', name), { recursive: true });
          return join(directory, 'far', name);
        },
        unmount: async ({ name }) => void far.mounts.delete(name),
        get: async (name) => (far.volumes.has(name) ? { name } : undefined),
        list: async () => [...far.volumes].map((name) => ({ name })),
      },
      { socket: join(directory, 'far.sock') },
    ),
  );
  const links = ['sh', 'sleep', 'ls', 'true'].map((name) => ({ name: `bin/${name}`, type: '2', link: 'busybox' }));
  const busybox = { name: 'bin/busybox', content: readFileSync('/bin/busybox'), mode: 0o755 };
  const archive = tar(
    { name: 'bin/' },
    { name: 'data/' },
    { name: 'data/first', content: String(n) },
    busybox,
    ...links,
  );
  writeFileSync(join(directory, 'root.tar'), archive);
  const runtime = createRuntime({ root, state: join(directory, 'state'), volumes: { plugins: [directory] } });
  for (const reference of ['kept:1', 'kept:2']) {
    await runtime.images.import(join(directory, 'root.tar'), {
      reference,
      changes: [`LABEL of=${reference}`, 'VOLUME /data'],
    });
    await runtime.run({ image: reference, command: ['/bin/busybox', 'true'] });
  }
  await runtime.volumes.create({ name: 'kept' });
  await runtime.volumes.create({ name: 'kept-far', driver: 'far' });
  await runtime[Symbol.asyncDispose]();
  // What every ephemeral runtime leaves of itself: directories and locks.
  const first = createRuntime({ root, state: join(directory, 'state'), ephemeral: true });
  await first.volumes.create();
  await first[Symbol.asyncDispose]();
  return { directory, root, far, files: filesOf(root) };
}

/** Locks of layers, which are files without content, stay; the content of the volume that stays is not ours to look at. */
function filesOf(directory: string, below = ''): string[] {
  return namesIn(join(directory, below)).flatMap((name) => {
    const path = join(below, name);
    if (path === 'layers/locks' || path === 'volumes/kept/_data') return [path];
    if (/^layers\/[^/]+$/.test(path)) return [path];
    return [path, ...filesOf(directory, path)];
  });
}

function processesWith(text: string): number[] {
  return namesIn('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .map(Number)
    .filter((pid) => textOf(`/proc/${pid}/cmdline`).includes(text) && isAlive(pid));
}

/** The ids of the containers that the ephemeral runtimes of a data directory have begun to make. */
function containersOf(root: string): string[] {
  const notes = namesIn(join(root, 'ephemeral')).map((id) => textOf(join(root, 'ephemeral', id, 'made')));
  return notes.flatMap((text) => [...text.matchAll(/^container ([0-9a-f]{64})$/gm)].map(([, id = '']) => id));
}

function cgroupsOf(containers: readonly string[]): string[] {
  const names = look({ cgroups: '' }).cgroups;
  return names.filter((name) => containers.some((id) => name.includes(id))).map((name) => `cgroup ${name}`);
}

function namesIn(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
