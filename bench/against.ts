import { spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { run } from '../lib/index.ts';

/** One way to run `true` in a container; gives the milliseconds from asking to knowing that it ended. */
interface Contender {
  readonly name: string;
  /** Why it takes no part. */
  readonly missing?: string | undefined;
  readonly once: () => Promise<void> | void;
}

const packageRoot = fileURLToPath(new URL('../..', import.meta.url));
const cli = join(packageRoot, 'bin/runts.js');

function main(argv: readonly string[]): Promise<void> {
  if (argv.includes('sizes')) return Promise.resolve(sizes());
  const at = argv.indexOf('--runs');
  return compare(at < 0 ? 30 : Number(argv[at + 1]));
}

function sizes(): void {
  for (const file of ['runts-init', 'runts.node']) {
    console.log(`${file.padEnd(12)} ${statSync(join(packageRoot, 'build/Release', file)).size} bytes`);
  }
}

async function compare(runs: number): Promise<void> {
  const scratch = mkdtempSync(join(tmpdir(), 'runts-bench-'));
  try {
    const bundle = makeBundle(scratch);
    const present = contenders(bundle).filter((contender) => {
      if (contender.missing !== undefined) console.log(`${contender.name}: ${contender.missing}`);
      return contender.missing === undefined;
    });
    const times = new Map(present.map(({ name }) => [name, [] as number[]]));
    for (let round = -3; round < runs; round++) {
      for (const { name, once } of present) {
        const began = process.hrtime.bigint();
        await once();
        const ms = Number(process.hrtime.bigint() - began) / 1e6;
        if (round >= 0) times.get(name)!.push(ms);
      }
    }
    print(times);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

function print(times: ReadonlyMap<string, readonly number[]>): void {
  const median = (values: readonly number[]) => [...values].sort((a, b) => a - b)[values.length >> 1] as number;
  const ours = median(times.get('runts, library')!);
  console.log(
    `${'create to exit of true'.padEnd(28)} ${'median ms'.padStart(10)} ${'min'.padStart(8)} ${'ratio'.padStart(7)}`,
  );
  for (const [name, values] of times) {
    const row = [
      median(values).toFixed(2).padStart(10),
      Math.min(...values)
        .toFixed(2)
        .padStart(8),
    ];
    console.log(`${name.padEnd(28)} ${row.join(' ')} ${(median(values) / ours).toFixed(1).padStart(6)}x`);
  }
}

function contenders(bundle: string): Contender[] {
  const rootfs = join(bundle, 'rootfs');
  const state = join(bundle, 'state');
  let id = 0;
  const oci = () => ['run', '-b', bundle, `runts-bench-${process.pid}-${id++}`];
  const peer = (name: string, args: () => string[]): Contender => ({
    name,
    missing: whyNot(name, args()),
    once: () => mustSucceed(name, args()),
  });
  return [
    { name: 'runts, library', once: async () => void (await run({ rootfs, command: ['/bin/true'] })) },
    {
      name: 'runts, command line',
      once: () => mustSucceed(process.execPath, [cli, 'run', '--rootfs', rootfs, '--', '/bin/true']),
    },
    peer('bwrap', () => ['--unshare-all', '--bind', rootfs, '/', '--proc', '/proc', '--dev', '/dev', '/bin/true']),
    peer('crun', () => ['--root', state, '--cgroup-manager=disabled', ...oci()]),
    peer('runc', () => ['--root', state, ...oci()]),
  ];
}

/** Tries a peer once: it may be missing, or unable to run here. */
function whyNot(file: string, args: string[]): string | undefined {
  const { status, error, stderr } = spawnSync(file, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  if (error !== undefined) return 'not installed';
  return status === 0 ? undefined : `cannot run here: ${stderr.toString().trim().split('\n')[0]}`;
}

function mustSucceed(file: string, args: string[]): void {
  const { status, error, stderr } = spawnSync(file, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`${file} ${args.join(' ')} exited with ${status}: ${stderr}`);
}

/** An OCI bundle around busybox, from runc's own idea of a default configuration where it is installed. */
function makeBundle(scratch: string): string {
  if (!existsSync('/bin/busybox')) throw new Error('the benchmark needs /bin/busybox (Debian: busybox-static)');
  const bundle = join(scratch, 'bundle');
  for (const directory of ['bin', 'proc', 'sys', 'dev', 'etc', 'tmp'])
    mkdirSync(join(bundle, 'rootfs', directory), { recursive: true });
  cpSync('/bin/busybox', join(bundle, 'rootfs/bin/busybox'));
  for (const applet of ['true', 'sh']) symlinkSync('busybox', join(bundle, 'rootfs/bin', applet));
  const rootless = process.getuid?.() === 0 ? [] : ['--rootless'];
  const tool = ['runc', 'crun'].find((name) => spawnSync(name, ['--version'], { stdio: 'ignore' }).error === undefined);
  if (tool !== undefined) {
    spawnSync(tool, ['spec', ...(tool === 'runc' ? rootless : [])], { cwd: bundle });
    const path = join(bundle, 'config.json');
    const config = JSON.parse(readFileSync(path, 'utf8'));
    config.process.args = ['/bin/true'];
    config.process.terminal = false;
    // None of the others makes a cgroup for a container without limits.
    delete config.linux.resources;
    writeFileSync(path, JSON.stringify(config));
  }
  return bundle;
}

await main(process.argv.slice(2));
