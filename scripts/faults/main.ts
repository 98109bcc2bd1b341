// npm run faults: every system call of every command fails, with each errno that it can give; the command is killed at
// each of them; so is its init. Then nothing is left after `delete --force`, and a new container of that name can be made.
//
//   --user NAME        as that user; root unless given
//   --only PREFIX,…    these scenarios
//   --acts fail,kill,init,killhost,deny
//   --every            each call with every errno that it can give, and not with one of them
//   --distinct         of calls of one kind about the same thing, the first and the last
//   --sample SECONDS   a part of them, chosen by --seed NUMBER
//   --workers N        how many at once; 2 unless given
//   --points FILE      these points, as JSON, and no others
//   --log FILE         every point and what came of it, a line each
//   --resume           not the points that the log has already
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { errnoNumber } from '../../lib/program/errno.ts';
import { errnosOf, newer, numberOf } from './calls.ts';
import { Place } from './place.ts';
import { type Point, Trial, type Verdict } from './point.ts';
import { type Scenario, scenarios } from './scenarios.ts';
import { buildTracer, type Scope, type Traced, type User } from './traced.ts';

const { values } = parseArgs({
  options: {
    user: { type: 'string', default: 'root' },
    only: { type: 'string', default: '' },
    acts: { type: 'string', default: 'fail,kill,init,killhost,deny' },
    every: { type: 'boolean', default: false },
    distinct: { type: 'boolean', default: false },
    sample: { type: 'string' },
    seed: { type: 'string', default: '1' },
    workers: { type: 'string', default: '2' },
    points: { type: 'string' },
    log: { type: 'string' },
    resume: { type: 'boolean', default: false },
    // Of a worker, which runs in namespaces of its own.
    worker: { type: 'string' },
    directory: { type: 'string' },
  },
});

const workers = Number(values.workers);
const sampledCommands = 5;

interface Summary {
  readonly points: number;
  readonly unreached: number;
  readonly failures: readonly Verdict[];
}

async function lead(): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'runts-faults-'));
  chmodSync(directory, 0o755);
  try {
    buildTracer(directory);
    const all = await Promise.all(Array.from({ length: workers }, (_, i) => worker(directory, i)));
    const failures = all.flatMap((each) => each.failures);
    for (const { point, what, problems } of failures) {
      console.log(
        `FAILED ${JSON.stringify(point)}\n  ${what}\n${problems.map((each) => `  - ${each.trim()}\n`).join('')}`,
      );
    }
    const sum = (key: 'points' | 'unreached') => all.reduce((total, each) => total + each[key], 0);
    console.log(`faults: ${sum('points')} points, ${sum('unreached')} not reached, ${failures.length} failed`);
    process.exitCode = failures.length === 0 ? 0 : 1;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function worker(directory: string, index: number): Promise<Summary> {
  const name = `${process.pid}-${index}`;
  const own = join(directory, name);
  mkdirSync(own);
  const script = [process.execPath, fileURLToPath(import.meta.url), ...process.argv.slice(2)];
  const args = [...script, '--worker', `${index}`, '--directory', own];
  // A shell is process 1 there, and collects whatever nobody else does.
  const shell = ['sh', '-c', '"$@"; exit $?', 'sh'];
  const child = spawn(
    'unshare',
    ['--fork', '--kill-child', '--pid', '--mount', '--mount-proc', '--propagation', 'private', ...shell, ...args],
    {
      stdio: ['ignore', 'inherit', 'inherit'],
    },
  );
  await once(child, 'exit');
  removeCgroups(`runts-faults-${name}`);
  return JSON.parse(readFileSync(join(own, 'summary'), 'utf8')) as Summary;
}

/** A worker that ended took its processes along, but not their cgroups. */
function removeCgroups(name: string): void {
  const top = '/sys/fs/cgroup';
  const remove = (path: string): void => {
    for (const entry of readdirSync(path, { withFileTypes: true }))
      if (entry.isDirectory()) remove(join(path, entry.name));
    rmdirSync(path);
  };
  for (const each of ['', ...readdirSync(top)]) {
    try {
      remove(join(top, each, name));
    } catch {
      // It is not there.
    }
  }
}

async function work(own: string, index: number): Promise<void> {
  const user = userNamed(values.user);
  const place = new Place(own, user, own.slice(own.lastIndexOf('/') + 1));
  await place.make();
  const tracing = { tracer: join(own, '../inject'), directory: own, user, environment: place.environment };
  const trial = new Trial(place, tracing);
  const failures: Verdict[] = [];
  let points = 0;
  let unreached = 0;
  try {
    // Once, so that whatever is made only the first time is there.
    await place.errand('run', '--bundle', place.bundle('plain', 'true'), place.id);
    await place.useLibrary();
    const all = await chosen(trial, user);
    if (index === 0) console.log(`${all.length} points as ${values.user}`);
    const mine = rest(all.filter((_, i) => i % workers === index));
    // What there is to choose from takes its time to be found out.
    const deadline = values.sample === undefined ? Number.POSITIVE_INFINITY : Date.now() + Number(values.sample) * 1000;
    for (const [scenario, point] of mine) {
      if (Date.now() > deadline) break;
      let verdict = await trial.run(scenario, point);
      // A hang is one the next time, too; a machine that is busy, or stands still, hangs anywhere.
      if (hangs(verdict)) verdict = await trial.run(scenario, point);
      points++;
      if (!verdict.reached) unreached++;
      if (verdict.problems.length > 0) failures.push(verdict);
      if (values.log !== undefined) appendFileSync(values.log, `${JSON.stringify(verdict)}\n`);
    }
  } finally {
    await place.close();
    writeFileSync(join(own, 'summary'), JSON.stringify({ points, unreached, failures }));
  }
}

const hangs = ({ problems }: Verdict) => problems.some((problem) => problem.startsWith('did not end'));

type Choice = readonly [Scenario, Point];

async function chosen(trial: Trial, user: User): Promise<Choice[]> {
  const only = values.only.split(',');
  const here = scenarios.filter(
    ({ name, ordinary }) => (user.uid === 0 || ordinary) && only.some((prefix) => name.startsWith(prefix)),
  );
  if (values.points !== undefined) {
    const given = JSON.parse(readFileSync(values.points, 'utf8')) as Point[];
    return given.flatMap((point) =>
      here.filter(({ name }) => name === point.scenario).map((each): Choice => [each, point]),
    );
  }
  const points: Choice[] = [];
  // A sample is of a few commands: to count the calls of all takes longer than it does.
  const some = values.sample === undefined ? here : shuffled(here, Number(values.seed)).slice(0, sampledCommands);
  for (const scenario of some)
    points.push(...(await pointsOf(trial, scenario)).map((point): Choice => [scenario, point]));
  return shuffled(points, Number(values.seed));
}

/** Those that are not in the log. */
function rest(points: readonly Choice[]): readonly Choice[] {
  if (!values.resume || values.log === undefined || !existsSync(values.log)) return points;
  const lines = readFileSync(values.log, 'utf8')
    .split('\n')
    .filter((line) => line !== '');
  const done = new Set(lines.map((line) => JSON.stringify((JSON.parse(line) as Verdict).point)));
  return points.filter(([, point]) => !done.has(JSON.stringify(point)));
}

async function pointsOf(trial: Trial, { name: scenario, ...rest }: Scenario): Promise<Point[]> {
  const acts = values.acts.split(',');
  const points: Point[] = [];
  const full = { name: scenario, ...rest };
  if (acts.includes('fail')) {
    const { listed } = await trial.listed(full, false);
    for (const scope of ['host', 'init'] as const) points.push(...failures(scenario, scope, listed));
  }
  const { listed } = await trial.listed(full, true);
  const inits = listed.filter((call) => call.scope === 'init');
  const hosts = listed.filter((call) => call.scope === 'host');
  const numbered = (calls: typeof listed, scope: Scope, act: Point['act']) =>
    calls.map((_, i): Point => ({ scenario, act, scope, at: i + 1, variant: 0 }));
  if (acts.includes('kill')) points.push(...numbered(hosts, 'host', 'kill'));
  if (acts.includes('init')) points.push(...numbered(inits, 'init', 'kill'));
  if (acts.includes('killhost')) points.push(...numbered(inits, 'init', 'killhost'));
  if (acts.includes('deny')) points.push(...denials(scenario));
  return points;
}

/** Each call fails with one errno, the next of the same kind with the next one: or, if that is asked for, with every one. */
function failures(scenario: string, scope: Scope, listed: Traced['listed']): Point[] {
  const calls = listed.filter((call) => call.scope === scope);
  const chosen = values.distinct ? distinct(calls) : undefined;
  const seen = new Map<number, number>();
  return calls.flatMap(({ number }, i) => {
    const before = seen.get(number) ?? 0;
    seen.set(number, before + 1);
    if (chosen?.has(i) === false) return [];
    const all = errnosOf(number).map((_, variant): Point => ({ scenario, act: 'fail', scope, at: i + 1, variant }));
    return values.every ? all : all.filter(({ variant }) => variant === before % all.length);
  });
}

/** The places of the first and the last of those calls that are of one kind and about the same thing, whatever its number. */
function distinct(calls: Traced['listed']): ReadonlySet<number> {
  const kinds = new Map<string, { first: number; last: number }>();
  for (const [i, { number, subject }] of calls.entries()) {
    const kind = `${number} ${subject.replaceAll(/[0-9a-f]{12}|\d+/g, '#')}`;
    kinds.set(kind, { first: kinds.get(kind)?.first ?? i, last: i });
  }
  return new Set([...kinds.values()].flatMap(({ first, last }) => [first, last]));
}

/** Each of the newer calls refused, one by one and all together, as a kernel and as a filter refuses them. */
function denials(scenario: string): Point[] {
  const numbers = newer.map(numberOf).filter((number) => number !== undefined);
  const sets = [...numbers.map((number) => [number]), numbers];
  return ['ENOSYS', 'EPERM'].flatMap((errno) =>
    sets.map((set): Point => {
      const denied = set.map((number) => [number, errnoNumber(errno)] as const);
      return { scenario, act: 'fail', scope: 'host', at: 0, variant: 0, denied };
    }),
  );
}

/** The same order for the same seed: mulberry32. */
function shuffled<T>(items: readonly T[], seed: number): T[] {
  let state = seed;
  const random = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  const result = [...items];
  for (let i = result.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [result[i], result[j]] = [result[j]!, result[i]!];
  }
  return result;
}

function userNamed(name: string): User {
  if (name === 'root') return { uid: 0, gid: 0 };
  const id = (flag: string) => Number(execFileSync('id', [flag, name], { encoding: 'utf8' }));
  return { uid: id('-u'), gid: id('-g') };
}

if (values.worker === undefined) await lead();
else await work(values.directory ?? '', Number(values.worker));
