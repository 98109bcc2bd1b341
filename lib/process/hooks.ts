import type { Builder } from '../program/builder.ts';
import { pointerOf } from '../spec/pointer.ts';
import type { Hook } from '../spec/types.ts';

/** Hooks that the init runs itself: in the namespaces of the container. */
export type InnerHooks = 'createContainer' | 'startContainer';

export interface HookSurroundings {
  /** A register with the state of the container as JSON. */
  readonly state: string;
  /** What a hook that says nothing of its environment gets. */
  readonly env: readonly string[];
}

/** Runs hooks in their order, each with the state on its standard input; the first that fails ends the container. */
export function runHooks(
  ops: Builder,
  kind: InnerHooks,
  hooks: readonly Hook[],
  { state, env }: HookSurroundings,
): void {
  hooks.forEach((hook, i) => {
    const operands = {
      path: hook.path,
      argv: hook.args === undefined || hook.args.length === 0 ? [hook.path] : hook.args,
      env: hook.env ?? env,
      stdin: state,
      timeout: timeoutMs(hook.timeout),
    };
    ops.op('hook', operands, pointerOf('hooks', kind, i));
  });
}

/** The op takes 32 bits of milliseconds: 49 days. */
const timeoutMsMax = 0xffff_ffff;

const timeoutMs = (seconds: number | undefined) => (seconds === undefined ? 0 : Math.min(seconds * 1000, timeoutMsMax));
