import { RuntsError, specError } from '../errors.ts';
import { parseBytes } from '../spec/bytes.ts';
import { checkOptions, runOptionChecks } from '../spec/check-options.ts';
import { restartPolicy } from '../spec/detached.ts';
import type { ContainerOptions, RunOptions } from '../spec/options.ts';
import { Deadline } from './deadline.ts';
import type { Home } from './home.ts';
import { Collector, feed, streamSource } from './output.ts';
import { OwnContainer } from './own.ts';
import { ExitError, type Result, resultOf } from './result.ts';

/** Nobody asks what it uses, and it ends soon: what a cgroup costs is saved. Nor does anybody see it before it is started. */
const make = (home: Home, options: ContainerOptions) =>
  OwnContainer.create(home, options, { counted: false, ahead: true });

/** Runs a command in a container of its own and collects what it writes; the container is gone when this settles. */
export async function runContainer(home: Home, given: ContainerOptions & RunOptions): Promise<Result> {
  const issues = checkOptions(given, runOptionChecks);
  if (given.detached === true)
    issues.push({ path: '/detached', message: 'is for createContainer: `run` waits for the end' });
  if (restartPolicy(given.restart).policy !== 'no')
    issues.push({ path: '/restart', message: 'is for createContainer: `run` gives how the command has ended' });
  if (issues.length > 0) throw specError('cannot run a container of these options', issues);
  const { input, timeout, reject = true, maxOutput, signal, ...rest } = given;
  const cancel = signal as AbortSignal | undefined;
  if (cancel?.aborted)
    throw new RuntsError('ERR_CANCELED', 'canceled before the container was made', { cause: cancel.reason });
  const options = { ...rest, ...(input !== undefined && { stdin: 'pipe' as const }) } as ContainerOptions;

  const began = performance.now();
  const deadline = new Deadline(timeout, cancel);
  try {
    const container = await deadline.making(() => make(home, { ...options, ...deadline.abortable }));
    try {
      const bytesMax = parseBytes(maxOutput);
      const [stdout, stderr] = [container.stdout, container.stderr].map(
        (s) => s && new Collector(streamSource(s), bytesMax),
      );
      feed(container.stdin, input);
      await deadline.making(() => container.start(deadline.abortable));
      const exit = await deadline.untilExit(container);
      await Promise.all([stdout?.ended, stderr?.ended]);
      const { command } = await container.inspect();
      const result = resultOf(exit, { command, stdout, stderr, began, deadline });
      if (result.failed && reject) throw new ExitError(result, cancel?.reason);
      return result;
    } finally {
      await container.remove({ force: true });
    }
  } finally {
    deadline.clear();
  }
}
