import { RuntsError } from '../../errors.ts';
import { errnoText } from '../../program/errno.ts';
import { stringifyJson } from '../../spec/json.ts';
import type { Hook, Hooks } from '../../spec/types.ts';
import { type Cancel, canceled, type Interruptible, throwIfCanceled } from '../cancel.ts';
import { errnoOf } from '../failure.ts';
import type { Host, RunResult } from '../host.ts';
import { messageOf } from '../undo.ts';
import type { State, Status } from './state.ts';

/** The hooks that the host runs; createContainer and startContainer hooks are ops of the plan. */
export type HostHooks = 'prestart' | 'createRuntime' | 'poststart' | 'poststop';

/** What a hook is told of the container's status; callers of prestart hooks have always been told `created`. */
const statuses: Readonly<Record<HostHooks, Status>> = {
  prestart: 'created',
  createRuntime: 'creating',
  poststart: 'running',
  poststop: 'stopped',
};

/** The state as hooks get it on their standard input. */
export function stateText({ ociVersion, id, pid, bundle, annotations }: State, status: Status): string {
  return stringifyJson({ ociVersion, id, status, ...(status !== 'stopped' && { pid }), bundle, annotations });
}

/**
 * Runs the hooks of one kind in their order, in the bundle, with their own environment and nothing of ours. A cancellation
 * kills the one that runs, with all of its group, and is the error.
 */
export async function runHooks(
  host: Host,
  kind: HostHooks,
  hooks: Hooks | undefined,
  state: State,
  cancel?: Cancel,
): Promise<void> {
  for (const [i, hook] of (hooks?.[kind] ?? []).entries()) await runHook(host, kind, i, hook, state, cancel);
}

/** The same where a failure is told and changes nothing: what they follow has happened already. */
export async function runLateHooks(
  host: Host,
  kind: HostHooks,
  hooks: Hooks | undefined,
  state: State,
  { warn, interruptible = (work) => work() }: LateHooks,
): Promise<void> {
  const late = hooks?.[kind] ?? [];
  if (late.length === 0) return;
  await interruptible(async (cancel) => {
    for (const [i, hook] of late.entries()) {
      await runHook(host, kind, i, hook, state, cancel).catch((error: unknown) => warn(messageOf(error)));
    }
  });
}

interface LateHooks {
  readonly warn: (message: string) => void;
  readonly interruptible?: Interruptible | undefined;
}

async function runHook(
  host: Host,
  kind: HostHooks,
  index: number,
  hook: Hook,
  state: State,
  cancel: Cancel | undefined,
): Promise<void> {
  const { path, args = [], env = [], timeout } = hook;
  const origin = `/hooks/${kind}/${index}`;
  const failed = (why: string, cause?: unknown) =>
    new RuntsError('ERR_SETUP', `error running ${kind} hook #${index}: ${path}: ${why}`, { origin, cause });
  const doing = `running ${kind} hook #${index}: ${path}`;
  throwIfCanceled(cancel, doing);
  const result = await host.processes
    .run(path, args.slice(1), {
      name: args[0],
      input: stateText(state, statuses[kind]),
      environment: env,
      cwd: state.bundle,
      timeoutMs: timeout === undefined ? undefined : timeout * 1000,
      cancel,
    })
    .catch((error: unknown) => {
      const errno = errnoOf(error);
      throw failed(errno === undefined ? messageOf(error) : errnoText(errno), error);
    });
  if (cancel?.aborted) throw canceled(cancel, doing);
  if (result.timedOut) throw failed(`it took longer than its ${timeout} s, and was killed`);
  if (result.code !== 0) throw failed(described(result));
}

/** A hook says why on either stream; the end of it is what matters. */
function described({ code, stdout, stderr }: RunResult): string {
  const how = code > 128 ? `signal ${code - 128}` : `exit status ${code}`;
  const said = (stderr.trim() || stdout.trim()).slice(-1000);
  return said === '' ? how : `${how}, stdout/stderr: ${said}`;
}
