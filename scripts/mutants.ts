// Shows that the attacks have teeth: opens one hole after the other in a copy of the tree, and expects the test that the table
// names to fail. `node dist/scripts/mutants.js [NAME …]`; takes about a minute for each.
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { type Mutant, mutantsDirectory, mutantsTable } from './mutants-table.js';

const root = process.cwd();
const us: Mutant['as'] = process.getuid?.() === 0 ? 'root' : 'an ordinary user';
const asked = process.argv.slice(2);
const chosen = mutantsTable(root).filter(({ name }) => asked.length === 0 || asked.includes(name));

const copy = mkdtempSync(join(tmpdir(), 'runts-mutants-'));
process.on('exit', () => rmSync(copy, { recursive: true, force: true }));
process.on('SIGINT', () => process.exit(130));
const left = new Set(['.git', 'node_modules']);
cpSync(root, copy, {
  recursive: true,
  preserveTimestamps: true,
  filter: (path) => !left.has(relative(root, path)),
});
symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));

const run = (command: string, ...args: string[]) =>
  spawnSync(command, args, { cwd: copy, encoding: 'utf8', timeout: 600_000 });
const npx = (...args: string[]) => run('npx', '--no-install', ...args);

/** Applies a patch, or takes it back, and builds what it changes. Types may be wrong then: it is a mutant. */
function patch(name: string, ...how: string[]): string | undefined {
  const path = join(root, mutantsDirectory, `${name}.patch`);
  const applied = run('git', 'apply', ...how, path);
  if (applied.status !== 0) return `does not apply: ${applied.stderr.trim()}`;
  const isNative = /^\+\+\+ b\/native\//m.test(readFileSync(path, 'utf8'));
  if (isNative) {
    const built = npx('node-gyp', 'build', '--silent');
    if (built.status !== 0) return `does not build: ${built.stderr.slice(-500)}`;
  }
  npx('tsc', '-b');
  return undefined;
}

interface Report {
  readonly testResults: readonly {
    readonly assertionResults: readonly { readonly fullName: string; readonly status: string }[];
  }[];
}

/** What became of the test: `red` is what is wanted. */
function verdict({ file, test }: Mutant): string {
  const report = join(copy, 'report.json');
  rmSync(report, { force: true });
  const pattern = test.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&');
  const how = ['--reporter=json', `--outputFile=${report}`];
  npx('vitest', 'run', `test/attacks/${file}.test.ts`, '-t', pattern, ...how);
  if (!existsSync(report)) return 'NO REPORT';
  const { testResults } = JSON.parse(readFileSync(report, 'utf8')) as Report;
  const named = testResults.flatMap((each) => each.assertionResults).filter(({ fullName }) => fullName.includes(test));
  if (named.some(({ status }) => status === 'failed')) return 'red';
  return named.some(({ status }) => status === 'passed') ? 'SURVIVES' : 'NOT RUN';
}

let failures = 0;
for (const mutant of chosen) {
  const { name, file, test, as } = mutant;
  let told = `is for ${as}`;
  if (as === 'anybody' || as === us) {
    const problem = patch(name);
    told = problem ?? verdict(mutant);
    if (told !== 'red') failures++;
    if (problem === undefined || !problem.startsWith('does not apply')) patch(name, '--reverse');
  }
  process.stdout.write(`${name.padEnd(24)} ${told.padEnd(10)} ${file}: ${test}\n`);
}
process.stdout.write(`${chosen.length} mutants, ${failures} not seen\n`);
process.exitCode = failures === 0 ? 0 : 1;
