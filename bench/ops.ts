// npm run bench:ops [-- --runs N]: where the time of the init goes: how long each kind of op takes in the container that
// `npm run bench` makes. Medians of what they come to in one container.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { makeBundle } from './bundle.ts';
import { packageRoot } from './paths.ts';
import { median } from './statistics.ts';

const { values } = parseArgs({ options: { runs: { type: 'string', default: '100' } } });
const line = /runts:trace (\w+) +(\d+) ns +\d+ (\w+)/;

/** By container, and there by op: nanoseconds of each. */
type Times = Map<string, Map<string, number[]>>;

function main(runs: number): void {
  const scratch = mkdtempSync(join(tmpdir(), 'runts-bench-'));
  try {
    const { directory } = makeBundle(scratch);
    const library = join(packageRoot, 'dist/bundle/index.js');
    const program = `import { run } from '${library}';
      for (let i = 0; i < ${runs}; i++) await run({ bundle: '${directory}', stdout: 'ignore', stderr: 'ignore' });`;
    const { stderr, status } = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
      env: { ...process.env, DEBUG: 'runts:trace', DEBUG_COLORS: 'no' },
      maxBuffer: 2 ** 30,
      encoding: 'utf8',
    });
    if (status !== 0) throw new Error(stderr);
    print(timesIn(stderr));
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

function timesIn(text: string): Times {
  const times: Times = new Map();
  for (const [, id, ns, op] of text.split('\n').flatMap((each) => [line.exec(each) ?? []])) {
    if (id === undefined) continue;
    const ops = times.get(id) ?? new Map<string, number[]>();
    times.set(id, ops);
    ops.set(op!, [...(ops.get(op!) ?? []), Number(ns)]);
  }
  return times;
}

function print(times: Times): void {
  const containers = [...times.values()];
  const names = new Set(containers.flatMap((ops) => [...ops.keys()]));
  const sum = (list: readonly number[]) => list.reduce((total, each) => total + each, 0);
  const rows = [...names].map((name) => {
    const each = containers.map((ops) => ops.get(name) ?? []);
    return { name, count: median(each.map((list) => list.length)), us: median(each.map(sum)) / 1000 };
  });
  console.log(`${containers.length} containers\n${'op'.padEnd(18)} ${'times'.padStart(6)} ${'us'.padStart(9)}`);
  for (const { name, count, us } of rows.sort((a, b) => b.us - a.us)) {
    console.log(`${name.padEnd(18)} ${String(count).padStart(6)} ${us.toFixed(1).padStart(9)}`);
  }
}

main(Number(values.runs));
