import type { Container } from './container/container.ts';
import type { Result } from './container/result.ts';
import { warmUp } from './container/warm.ts';
import type { Images } from './images/images.ts';
import { createRuntime, type Runtime } from './runtime.ts';
import type { ContainerOptions, RunOptions } from './spec/options.ts';
import type { Volumes } from './volumes/volumes.ts';

export type { Address } from './container/address.ts';
export type {
  Container,
  ContainerImage,
  ContainerInfo,
  RemoveOptions,
  StartOptions,
  Status,
  StopOptions,
  WaitOptions,
} from './container/container.ts';
export type { CopyOptions } from './container/copy.ts';
export type { EventsOptions } from './container/event-log.ts';
export type { ContainerEvent } from './container/events.ts';
export type { LogLine, LogOptions } from './container/logs.ts';
export type { Process } from './container/process.ts';
export { type Ready, ready } from './container/ready.ts';
export type { HttpRequest } from './container/ready-network.ts';
export type { Stats } from './container/resources.ts';
export { type Exit, ExitError, type Result } from './container/result.ts';
export type { Snapshot, SnapshotOptions } from './container/snapshot.ts';
export type { WarmContainers } from './container/warm-options.ts';
export type { ErrorCode } from './error-codes.ts';
export { type Issue, type OpFailure, RuntsError } from './errors.ts';
export type { Check } from './host/doctor.ts';
export type { PullPolicy } from './host/image.ts';
export type { ImageEvent } from './images/events.ts';
export type {
  Change,
  CommitOptions,
  ContainerName,
  HistoryStep,
  Image,
  ImageFilter,
  Images,
  ImportOptions,
  Inspected,
  LoadOptions,
  Progress,
  Pruned,
  PruneImages,
  Pulled,
  PullOptions,
  Pushed,
  Removed,
  RemoveImage,
  SaveFormat,
  TransferOptions,
  Verified,
} from './images/images.ts';
export type { Registries, RegistrySettings } from './images/registry/config.ts';
export type { Credentials } from './images/registry/credentials.ts';
export {
  type ContainerFilter,
  createRuntime,
  type Runtime,
  type RuntimeEvent,
  type RuntimeOptions,
  type VolumesSettings,
} from './runtime.ts';
export type { Bytes } from './spec/bytes.ts';
export type { ExecOptions } from './spec/exec-options.ts';
export type { Healthcheck, ImageConfig } from './spec/image-config.ts';
export type {
  Capability,
  CommonOptions,
  ContainerOptions,
  IdMap,
  Labels,
  Limits,
  LogLimits,
  MountOption,
  RestartPolicy,
  RestartPolicyName,
  RunOptions,
  SnapshotRecord,
  Source,
  Stdio,
} from './spec/options.ts';
export type { Spec } from './spec/types.ts';
export {
  type ServedCall,
  type ServedDriver,
  type ServeOptions,
  serveVolumeDriver,
} from './volumes/plugins/server.ts';
export type {
  CreateVolume,
  DriverVolume,
  MountRequest,
  PruneVolumes,
  RemoveVolume,
  Volume,
  VolumeDriver,
  VolumeEvent,
  VolumeFilter,
  VolumeLimits,
  VolumeRequest,
  VolumeSurvey,
  Volumes,
  VolumesPruned,
} from './volumes/volumes.ts';

warmUp();

let shared: Runtime | undefined;

/** The runtime behind the functions of this module, made when it is first needed. */
function runtime(): Runtime {
  shared ??= createRuntime();
  return shared;
}

/** The images that are stored here, and registries; of the data directory that the functions of this module use. */
export const images: Images = lazily(() => runtime().images);

/** The volumes of that data directory, and those of plugins. */
export const volumes: Volumes = lazily(() => runtime().volumes);

/** The runtime is made when it is first asked for something. */
function lazily<T extends object>(whole: () => T): T {
  return new Proxy({} as unknown as T, {
    get(_, name) {
      const all = whole();
      const value: unknown = Reflect.get(all, name, all);
      return typeof value === 'function' ? value.bind(all) : value;
    },
  });
}

/** Makes a container, which waits for its `start()`. It is removed with `await using`, `remove()`, or this process. */
export async function createContainer(options: ContainerOptions): Promise<Container> {
  return runtime().createContainer(options);
}

/** Runs a command in a container of its own, to its end, and gives what it wrote. Rejects with ExitError on failure. */
export function run(options: ContainerOptions & RunOptions): Promise<Result>;
/** The same for an image, by its name or the path of its archive. */
export function run(image: string, command?: readonly string[], options?: RunOptions): Promise<Result>;
export async function run(
  options: (ContainerOptions & RunOptions) | string,
  command?: readonly string[],
  more?: RunOptions,
): Promise<Result> {
  return runtime().run(options, command, more);
}
