// npm run test:asan: the addon with ASan and UBSan, and the init with UBSan's traps, under the tests of test/addon, test/ops
// and test/lifetime: each op, and workers, environments and collections that end in the middle of things. In a copy of the
// checkout under build/asan, so that the product's own build stays. Arguments are vitest's. Leaks are told by the tests, which count
// descriptors: what Node itself keeps until its end is none of ours.
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const copy = join(root, 'build/asan');
const sanitized = join(root, 'build/sanitized');

function run(file: string, args: readonly string[]): void {
  const { status, stdout, stderr } = spawnSync(file, args, { cwd: root, encoding: 'utf8' });
  if (status !== 0) throw new Error(`${file} ${args.join(' ')} failed:\n${stdout}${stderr}`);
}

const cmake = ['cmake-js', 'build', '-O', 'build/sanitized', '--cc', 'clang', '--cxx', 'clang++', '-m', '--silent'];
run('npx', [...cmake, '-p', String(availableParallelism()), '-T', 'runts']);
rmSync(copy, { recursive: true, force: true });
mkdirSync(join(copy, 'build/Release'), { recursive: true });
const parts = ['lib', 'test', 'bin', 'scripts', 'dist', 'package.json', 'vitest.config.ts'];
for (const part of parts) cpSync(join(root, part), join(copy, part), { recursive: true });
cpSync(join(sanitized, 'Release/runts.node'), join(copy, 'build/Release/runts.node'));
cpSync(join(sanitized, 'bin/runts-init'), join(copy, 'build/Release/runts-init'));
symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));

const library = `libclang_rt.asan-${process.arch === 'x64' ? 'x86_64' : 'aarch64'}.so`;
const runtime = execFileSync('clang', [`-print-file-name=${library}`], { encoding: 'utf8' }).trim();
const reports = join(copy, 'report');
const env = {
  ...process.env,
  LD_PRELOAD: runtime,
  RUNTS_PATIENCE: '5',
  ASAN_OPTIONS: `detect_leaks=0:log_path=${reports}`,
  UBSAN_OPTIONS: `print_stacktrace=1:log_path=${reports}`,
};
const given = process.argv.slice(2);
const tests = given.length > 0 ? given : ['test/addon', 'test/ops', 'test/lifetime'];
// They look at the build of the product, or have a Node of the product's own at work, without what is preloaded here.
const others = ['addon/hardening', 'addon/denied', 'lifetime/kills', 'lifetime/ephemeral'].map(
  (name) => `--exclude=test/${name}.test.ts`,
);
const vitest = [join(root, 'node_modules/vitest/vitest.mjs'), 'run', '--testTimeout=300000', ...others];
const { status } = spawnSync(process.execPath, [...vitest, ...tests], { cwd: copy, env, stdio: 'inherit' });
const told = existsSync(copy) ? readdirSync(copy).filter((name) => name.startsWith('report')) : [];
for (const name of told) console.error(readFileSync(join(copy, name), 'utf8'));
process.exitCode = told.length > 0 ? 1 : (status ?? 1);
