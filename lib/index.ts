import type { Container } from './container/container.ts';
import type { Result } from './container/result.ts';
import { warmUp } from './container/warm.ts';
import { createRuntime, type Runtime } from './runtime.ts';
import type { ContainerOptions, RunOptions } from './spec/options.ts';

export type { Container, ContainerInfo, StartOptions, Status, StopOptions } from './container/container.ts';
export type { LogLine, LogOptions } from './container/logs.ts';
export type { Process } from './container/process.ts';
export { type Ready, ready } from './container/ready.ts';
export { type Exit, ExitError, type Result } from './container/result.ts';
export type { ErrorCode } from './error-codes.ts';
export { type Issue, type OpFailure, RuntsError } from './errors.ts';
export type { Check } from './host/doctor.ts';
export { createRuntime, type Runtime, type RuntimeOptions } from './runtime.ts';
export type { Bytes } from './spec/bytes.ts';
export type { ExecOptions } from './spec/exec-options.ts';
export type {
  Capability,
  CommonOptions,
  ContainerOptions,
  IdMap,
  Labels,
  Limits,
  MountOption,
  RunOptions,
  Source,
  Stdio,
} from './spec/options.ts';
export type { Spec } from './spec/types.ts';

try {
  warmUp();
} catch {
  // What is wrong with this host is told by the call that meets it.
}

let shared: Runtime | undefined;

/** The runtime behind the functions of this module, made when it is first needed. */
function runtime(): Runtime {
  shared ??= createRuntime();
  return shared;
}

/** Makes a container, which waits for its `start()`. It is removed with `await using`, `remove()`, or this process. */
export async function createContainer(options: ContainerOptions): Promise<Container> {
  return runtime().createContainer(options);
}

/** Runs a command in a container of its own, to its end, and gives what it wrote. Rejects with ExitError on failure. */
export function run(options: ContainerOptions & RunOptions): Promise<Result>;
/** The same for an image, by the path of its archive. */
export function run(image: string, command?: readonly string[], options?: RunOptions): Promise<Result>;
export async function run(
  options: (ContainerOptions & RunOptions) | string,
  command?: readonly string[],
  more?: RunOptions,
): Promise<Result> {
  return runtime().run(options, command, more);
}
