// npm run bench [-- options]: what a container costs, here and with the others, in one run. bench/README.md has more.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { createRuntime } from '../lib/index.js';
import { type Baseline, changesSince, withReport } from './baseline.ts';
import { makeBundle } from './bundle.ts';
import { buildLimit, Limit } from './limit.ts';
import { Answering } from './lines.ts';
import { measureRow } from './measure.ts';
import { packageRoot, spawner } from './paths.ts';
import { findPeers } from './peers.ts';
import { inPlainCgroups } from './plain-cgroups.ts';
import { plot } from './plot.ts';
import { publish } from './publish.ts';
import { type Report, reportOf } from './report.ts';
import type { MeasuredRow, Row } from './row.ts';
import { rows } from './rows/all.ts';
import { textTable } from './table.ts';
import type { World } from './world.ts';

const options = {
  runs: { type: 'string', default: '100' },
  rows: { type: 'string' },
  out: { type: 'string', default: join(packageRoot, 'build/bench') },
  as: { type: 'string' },
  baseline: { type: 'boolean', default: false },
  publish: { type: 'boolean', default: false },
} as const;

const kept = join(packageRoot, 'bench/baseline.json');

async function main(): Promise<number> {
  const { values } = parseArgs({ options });
  const elsewhere = inPlainCgroups(values.as);
  if (elsewhere !== undefined) return elsewhere;
  const runs = Number(values.runs);
  if (!Number.isInteger(runs) || runs < 1) throw new Error(`--runs is a number of runs, not ${values.runs}`);
  const report = await measure(runs, chosen(values.rows));
  const baseline: Baseline = existsSync(kept) ? JSON.parse(readFileSync(kept, 'utf8')) : {};
  process.stdout.write(`\n${textTable(report, changesSince(baseline, report))}`);
  keep(report, resolve(values.out));
  if (values.baseline) writeFileSync(kept, `${JSON.stringify(withReport(baseline, report), null, 2)}\n`);
  if (values.publish) publish(report);
  return 0;
}

function chosen(keys: string | undefined): readonly Row[] {
  if (keys === undefined) return rows;
  return keys.split(',').flatMap((key) => {
    const found = rows.filter((row) => row.key === key || row.key.startsWith(`${key}-`));
    if (found.length > 0) return found;
    throw new Error(`there is no row ${key}; there are ${rows.map((row) => row.key).join(', ')}`);
  });
}

async function measure(runs: number, wanted: readonly Row[]): Promise<Report> {
  const scratch = mkdtempSync(join(tmpdir(), 'runts-bench-'));
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      rmSync(scratch, { recursive: true, force: true });
      process.exit(1);
    });
  }
  const runtime = createRuntime({ root: join(scratch, 'data'), state: join(scratch, 'state') });
  try {
    const bundle = makeBundle(scratch);
    const limit = new Limit(buildLimit(scratch), bundle);
    const loopMs: number[] = [];
    const noise = async (): Promise<void> => void loopMs.push(await limit.ms('loop'));
    const node = new Answering(process.execPath, [spawner]);
    const spawnedMs: World['spawnedMs'] = async (command, filter) =>
      Number(await node.ask(JSON.stringify({ command, filter })));
    const peers = findPeers(scratch, bundle);
    for (const { name, missing } of peers) if (missing !== undefined) console.log(`${name}: ${missing}`);
    const root = process.getuid!() === 0;
    const world: World = { runs, root, scratch, bundle, runtime, limit, peers, spawnedMs, noise };
    try {
      const measured: MeasuredRow[] = [];
      for (const row of wanted) measured.push(await measureOrSay(row, world));
      return reportOf(world, measured, loopMs);
    } finally {
      await Promise.all([limit.close(), node.close()]);
    }
  } finally {
    await runtime[Symbol.asyncDispose]();
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** What one row cannot do keeps the others from nothing. */
async function measureOrSay(row: Row, world: World): Promise<MeasuredRow> {
  process.stderr.write(`${row.title} …\n`);
  try {
    return await measureRow(row, world);
  } catch (error) {
    const missing = `could not be measured: ${error instanceof Error ? error.message : error}`;
    return { key: row.key, title: row.title, unit: row.unit ?? 'ms', missing, subjects: [] };
  }
}

function keep(report: Report, directory: string): void {
  mkdirSync(directory, { recursive: true });
  const name = report.who === 'root' ? 'root' : 'user';
  writeFileSync(join(directory, `${name}.json`), `${JSON.stringify(report, null, 2)}\n`);
  writeFileSync(join(directory, `${name}.svg`), plot(report.rows.filter(({ unit }) => unit === 'ms')));
  process.stderr.write(`written to ${join(directory, name)}.json and .svg\n`);
}

process.exitCode = await main();
