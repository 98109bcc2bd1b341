import { RuntsError, specError } from '../errors.ts';
import type { Stdio } from '../node/stdio.ts';
import { parseBytes } from '../spec/bytes.ts';
import { checkOptions, runOptionChecks } from '../spec/check-options.ts';
import { restartPolicy } from '../spec/detached.ts';
import type { ContainerOptions, RunOptions } from '../spec/options.ts';
import type { Begun } from './begun.ts';
import { Deadline } from './deadline.ts';
import type { ContainerEvent } from './events.ts';
import type { Home } from './home.ts';
import type { MakeOptions } from './made.ts';
import { Collector, feed, streamSource } from './output.ts';
import { OwnContainer } from './own.ts';
import type { Repeat } from './repeats.ts';
import { type End, type Exit, ExitError, exitOf, type Result, resultOf } from './result.ts';

/** Nobody asks what it uses, and it ends soon: what a cgroup costs is saved. Nor does anybody see it before it is started. */
const make = (home: Home, options: ContainerOptions, how: Pick<MakeOptions, 'init' | 'foreseen'>) =>
  OwnContainer.create(home, options, { counted: false, ahead: true, ...how });

/** Runs a command in a container of its own and collects what it writes; the container is gone when this settles. */
export async function runContainer(home: Home, given: ContainerOptions & RunOptions): Promise<Result> {
  const { signal, ...lasting } = given;
  const repeat = home.repeats?.of(lasting);
  if (repeat?.isKnown !== true || signal !== undefined) checkRun(given);
  return runOf(home, given, repeat);
}

/** The same of one that is known. */
export const runAgain = (home: Home, repeat: Repeat): Promise<Result> => runOf(home, repeat.options, repeat);

async function runOf(home: Home, given: ContainerOptions & RunOptions, repeat: Repeat | undefined): Promise<Result> {
  const cancel = given.signal as AbortSignal | undefined;
  if (cancel?.aborted)
    throw new RuntsError('ERR_CANCELED', 'canceled before the container was made', { cause: cancel.reason });
  const began = performance.now();
  const deadline = Deadline.of(given.timeout, cancel);
  try {
    const run = { home, given, deadline };
    const begun = await repeat?.begin(home, deadline.signal);
    const end = (begun && (await alreadyOver(run, begun))) ?? (await inContainer(run, begun, repeat));
    const { exit, command, stdout, stderr } = end;
    const result = resultOf(exit, { command, stdout, stderr, began, deadline });
    repeat?.notice(result.durationMs);
    if (result.failed && given.reject !== false) throw new ExitError(result, cancel?.reason);
    return result;
  } finally {
    deadline.clear();
  }
}

function checkRun(given: ContainerOptions & RunOptions): void {
  const issues = checkOptions(given, runOptionChecks);
  if (given.detached === true)
    issues.push({ path: '/detached', message: 'is for createContainer: `run` waits for the end' });
  if (restartPolicy(given.restart).policy !== 'no')
    issues.push({ path: '/restart', message: 'is for createContainer: `run` gives how the command has ended' });
  if (issues.length > 0) throw specError('cannot run a container of these options', issues);
}

interface Run {
  readonly home: Home;
  readonly given: ContainerOptions & RunOptions;
  readonly deadline: Deadline;
}

type Ended = Pick<End, 'command' | 'stdout' | 'stderr'> & { readonly exit: Exit };

/** Undefined where it is not, or ended in another way than most. */
async function alreadyOver({ home, given }: Run, begun: Begun): Promise<Ended | undefined> {
  if (begun.end === undefined) return undefined;
  const { id, session, stdio, command } = begun.take();
  session.process.close();
  const [stdout, stderr] = [collectorOf(stdio, 1, given), collectorOf(stdio, 2, given)];
  const exit = exitOf(begun.end, false);
  const name = id.slice(0, 12);
  // All of it is known now.
  const at = new Date();
  const tell = (action: ContainerEvent['action']): void => home.tell({ type: 'container', action, id, name, at });
  tell('create');
  tell('start');
  if (stdout?.ended !== undefined || stderr?.ended !== undefined) await Promise.all([stdout?.ended, stderr?.ended]);
  stdio.close();
  home.tell({ type: 'container', action: 'exit', id, name, at, exit });
  tell('remove');
  return { exit, command, stdout, stderr };
}

const collectorOf = (stdio: Stdio, number: 1 | 2, { maxOutput }: RunOptions): Collector | undefined =>
  stdio.isRead(number) ? new Collector((take) => stdio.read(number, take), parseBytes(maxOutput)) : undefined;

async function inContainer(run: Run, init: Begun | undefined, repeat: Repeat | undefined): Promise<Ended> {
  const { home, given, deadline } = run;
  const lesson = init === undefined ? repeat?.lesson(home) : undefined;
  const { input, timeout: _t, reject: _r, maxOutput, signal: _s, ...rest } = repeat?.options ?? given;
  const options = { ...rest, ...(input !== undefined && { stdin: 'pipe' as const }) } as ContainerOptions;
  const { abortable } = deadline;
  const how = { init, foreseen: lesson?.foreseen };
  const container = await deadline.making(() => make(lesson?.home ?? home, { ...options, ...abortable }, how));
  try {
    const bytesMax = parseBytes(maxOutput);
    const [stdout, stderr] = [container.stdout, container.stderr].map(
      (s) => s && new Collector(streamSource(s), bytesMax),
    );
    feed(container.stdin, input);
    await deadline.making(() => container.start(abortable));
    const exit = await deadline.untilExit(container);
    await Promise.all([stdout?.ended, stderr?.ended]);
    const { command } = await container.inspect();
    lesson?.learn();
    return { exit, command, stdout, stderr };
  } finally {
    await container.remove({ force: true });
  }
}
