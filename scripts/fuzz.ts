// npm run fuzz: builds every target of native/fuzz with ASan and UBSan, and runs each from its corpus, then the properties
// of test/ many times (RUNTS_FUZZ_RUNS says how many). FUZZ_SECONDS is the time of each target, and leaves out the
// properties, which `npm test` has; without it an hour is shared out. With the same FUZZ_SEED, two runs try the same. Names
// of targets run these alone, and `--keep` takes what was found into the corpora. A crash leaves the input under
// build/fuzz, and says how it is run again.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const built = join(root, 'build/sanitized/bin');
const work = join(root, 'build/fuzz');
const corpora = join(root, 'native/fuzz/corpus');

/** Bytes of the longest input of a target, where 4 KiB is not the right bound. */
const lengths: Readonly<Record<string, number>> = { unpack: 20_000, run: 8192, verify: 8192, view: 16_384 };
const environment = {
  ...process.env,
  // Leaks are told by the targets' own count of descriptors: there is no heap to leak from.
  ASAN_OPTIONS: 'detect_stack_use_after_return=1:detect_leaks=0',
  UBSAN_OPTIONS: 'print_stacktrace=1',
};

const words = process.argv.slice(2).filter((word) => !word.startsWith('-'));
const known =
  readFileSync(join(root, 'CMakeLists.txt'), 'utf8')
    .match(/foreach\(name ([^)]+)\)/)?.[1]
    ?.split(/\s+/) ?? [];
// It is built with the sources of the engine, which `npm run build:tiny` fetches.
if (existsSync(join(process.env['RUNTS_ENGINE'] ?? join(root, 'build/tiny/engine'), 'quickjs.c'))) known.push('json');
const targets = words.length > 0 ? words : known;
for (const target of targets) if (!known.includes(target)) throw new Error(`no fuzzer: ${target}; ${known.join(', ')}`);
if (targets.length === 0) throw new Error('CMakeLists.txt names no fuzzers');
const jobs = Math.min(availableParallelism(), targets.length);
const whole = process.env['FUZZ_SECONDS'] === undefined;
/** An hour on the clock, ten minutes of which are the properties'. */
const seconds = Number(process.env['FUZZ_SECONDS'] ?? Math.floor((3000 * jobs) / targets.length));

/** Makes two runs over the same corpus try the same; without it each run goes another way. */
const seed = process.env['FUZZ_SEED'];

function build(): void {
  const cmake = [
    'cmake-js',
    'build',
    '-O',
    'build/sanitized',
    '--cc',
    'clang',
    '--cxx',
    'clang++',
    '-m',
    '-T',
    'fuzzers',
  ];
  const { status, stdout, stderr } = spawnSync('npx', [...cmake, '-p', String(availableParallelism()), '--silent'], {
    cwd: root,
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`cannot build the fuzzers (clang and cmake are needed):\n${stdout}${stderr}`);
}

const binary = (target: string) => join(built, `fuzz-${target}`);
const folders = (target: string) => {
  const [found, kept] = [join(work, target), join(corpora, target)];
  mkdirSync(found, { recursive: true });
  return existsSync(kept) ? [found, kept] : [found];
};

interface Outcome {
  readonly target: string;
  readonly status: number | null;
  readonly executions: number;
  readonly coverage: number;
  readonly log: string;
}

function fuzz(target: string): Promise<Outcome> {
  const log = join(work, `${target}.log`);
  const args = [`-max_total_time=${seconds}`, `-max_len=${lengths[target] ?? 4096}`, '-timeout=20'];
  if (seed !== undefined) args.push(`-seed=${seed}`);
  args.push('-rss_limit_mb=2048', '-print_final_stats=1', `-artifact_prefix=${work}/${target}-`);
  const child = spawn(binary(target), [...args, ...folders(target)], { env: environment });
  let text = '';
  child.stdout.resume();
  child.stderr.on('data', (piece) => (text += piece));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (status) => {
      writeFileSync(log, text);
      const executions = Number(/number_of_executed_units: (\d+)/.exec(text)?.[1] ?? 0);
      const coverage = Number([...text.matchAll(/cov: (\d+)/g)].at(-1)?.[1] ?? 0);
      resolve({ target, status, executions, coverage, log });
    });
  });
}

/** The fewest of all inputs that cover what all cover. */
function keep(target: string): void {
  const kept = join(corpora, target);
  mkdirSync(kept, { recursive: true });
  const merge = ['-set_cover_merge=1', '-max_len=2048', kept, join(work, target)];
  const { status, stderr } = spawnSync(binary(target), merge, { env: environment, encoding: 'utf8' });
  if (status !== 0) throw new Error(`cannot merge the corpus of ${target}:\n${stderr}`);
}

/** What fast-check tries, much longer than in `npm test`. */
function tryProperties(): void {
  const vitest = [join(root, 'node_modules/vitest/vitest.mjs'), 'run', '--testTimeout=3600000'];
  const env = { ...process.env, RUNTS_FUZZ_RUNS: process.env['RUNTS_FUZZ_RUNS'] ?? '100000' };
  const { status } = spawnSync(process.execPath, [...vitest, 'test/properties', 'test/seccomp'], {
    cwd: root,
    env,
    stdio: 'inherit',
  });
  if (status !== 0) process.exitCode = 1;
}

async function main(): Promise<void> {
  build();
  const waiting = [...targets];
  const outcomes: Outcome[] = [];
  const worker = async (): Promise<void> => {
    for (let target = waiting.shift(); target !== undefined; target = waiting.shift())
      outcomes.push(await fuzz(target));
  };
  await Promise.all(Array.from({ length: jobs }, worker));
  for (const { target, status, executions, coverage, log } of outcomes) {
    const corpus = existsSync(join(corpora, target)) ? readdirSync(join(corpora, target)).length : 0;
    console.log(`${target}: ${executions} executions, ${coverage} edges, begun with ${corpus} inputs`);
    if (status === 0) continue;
    process.exitCode = 1;
    const text = readFileSync(log, 'utf8');
    const input = /Test unit written to (\S+)/.exec(text)?.[1] ?? '<input>';
    console.error(`${text.slice(-4000)}\n${target} has failed. Again: ${binary(target)} ${input}`);
  }
  if (process.argv.includes('--keep') && process.exitCode === undefined) for (const target of targets) keep(target);
  if (whole && words.length === 0) tryProperties();
}

await main();
