import { type Issue, RuntsError, specError } from '../errors.ts';
import { parseBytes } from './bytes.ts';
import { checkSpec } from './check.ts';
import { hostname as hostnameCheck } from './check-options.ts';
import { isConstant } from './constant.ts';
import { defaultSpec } from './defaults.ts';
import { mergeEnv } from './env.ts';
import type { ImageConfig } from './image-config.ts';
import { specMounts, type Volumes } from './mounts-from-options.ts';
import { capabilityNames, type NamespaceType, signalNumber } from './names.ts';
import type { CommonOptions, IdMap, Limits } from './options.ts';
import { hasOwn } from './own.ts';
import { issuesOf } from './shape.ts';
import type {
  CpuResources,
  Draft,
  IdMapping,
  Process,
  Resources,
  SeccompProfile,
  Spec,
  ThrottleDevice,
  TimeOffset,
} from './types.ts';

type Drafted = Draft<Spec> & { process: Draft<Process> };

/** What options alone do not say: whoever has the image, the host and the defaults of other layers fills it in. */
export interface SpecContext {
  /** The configuration of the image, where there is one. */
  readonly image?: ImageConfig | undefined;
  /** The bundle's own configuration, checked; instead of Docker's default container. */
  readonly bundle?: Spec | undefined;
  /** Path of the root file system. */
  readonly root?: string | undefined;
  /** The container's id: its first twelve characters are the default host name. */
  readonly id?: string | undefined;
  /** What `user`, or the image's User, stands for: see `resolveUser`. */
  readonly user?:
    | { readonly uid: number; readonly gid: number; readonly additionalGids: readonly number[] }
    | undefined;
  /** Where relative sources of bind mounts begin; without it they are left relative, which the spec reads as: to the bundle. */
  readonly cwd?: string | undefined;
  readonly volumes?: Volumes | undefined;
  /** Device numbers of the paths in `limits.io`. */
  readonly devices?: Readonly<Record<string, { readonly major: number; readonly minor: number }>> | undefined;
  /** The profile that `seccomp: 'default'` stands for. */
  readonly seccomp?: SeccompProfile | undefined;
}

/**
 * The OCI configuration that options (checked before) and an image stand for, by Docker's rules. Throws ERR_SPEC with
 * everything that is wrong, be it said by the options, the image, or the caller's own `spec` function.
 */
export function specFromOptions(options: CommonOptions, context: SpecContext = {}): Spec {
  const issues: Issue[] = [];
  const spec = startingPoint(context);
  if (context.root !== undefined) spec.root.path = context.root;
  if (options.readonly !== undefined) spec.root.readonly = options.readonly;
  setNamespaces(spec, options);
  setHostname(spec, options, context);
  setCommand(spec, options, context, issues);
  setProcess(spec, options, context);
  setPrivileges(spec, options, context);
  spec.mounts = [...(spec.mounts ?? []), ...specMounts(options.mounts ?? [], context, issues)];
  if (options.limits !== undefined) setLimits(spec, options.limits, context, issues);
  if (options.labels !== undefined) spec.annotations = { ...spec.annotations, ...options.labels };
  if (issues.length > 0) throw specError('cannot make a container of these options', issues);
  return edited(spec, options.spec);
}

function startingPoint({ bundle }: SpecContext): Drafted {
  const spec = bundle === undefined ? defaultSpec() : (copy(bundle) as Draft<Spec>);
  return { ...spec, process: spec.process ?? { ...defaultSpec().process!, args: [] } };
}

/** A deep copy: the caller's `spec` function may change what it gets, and what it got it from must stay. */
function copy(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(copy);
  if (typeof value !== 'object' || value === null) return value;
  const source = value as Readonly<Record<string, unknown>>;
  const result = Object.create(null) as Record<string, unknown>;
  for (const key of Object.keys(source)) result[key] = copy(source[key]);
  return result;
}

function setNamespaces(spec: Drafted, { network, userns, time }: CommonOptions): void {
  const { linux } = spec;
  const without = (type: NamespaceType): void => {
    linux.namespaces = linux.namespaces.filter((namespace) => namespace.type !== type);
  };
  const renew = (type: NamespaceType): void => {
    without(type);
    linux.namespaces.push({ type });
  };
  if (network === 'host') without('network');
  else if (network !== undefined) renew('network');
  if (userns === 'host') {
    without('user');
    delete linux.uidMappings;
    delete linux.gidMappings;
  } else if (userns !== undefined) {
    renew('user');
    linux.uidMappings = userns === 'auto' ? [] : userns.uids.map(idMapping);
    linux.gidMappings = userns === 'auto' ? [] : userns.gids.map(idMapping);
  }
  if (time !== undefined) {
    renew('time');
    linux.timeOffsets = {};
    for (const clock of ['monotonic', 'boottime'] as const) {
      if (time[clock] !== undefined) linux.timeOffsets[clock] = timeOffset(time[clock]);
    }
  }
}

const idMapping = ({ container, host, size }: IdMap): IdMapping => ({ containerID: container, hostID: host, size });

/** The kernel wants nanoseconds that are not negative: -1 ms is -1 s and 999 ms. */
function timeOffset(ms: number): TimeOffset {
  const secs = Math.floor(ms / 1000);
  return { secs, nanosecs: (ms - secs * 1000) * 1_000_000 };
}

/** Docker's default: the short id. Not every id is a host name; one that is not gives none. */
function setHostname(spec: Drafted, { hostname }: CommonOptions, { id, bundle }: SpecContext): void {
  const short = id?.slice(0, 12);
  if (hostname !== undefined) spec.hostname = hostname;
  else if (bundle === undefined && short !== undefined && issuesOf(short, hostnameCheck).length === 0) {
    spec.hostname = short;
  }
}

/** A command replaces the image's Cmd; an entrypoint replaces Entrypoint and clears Cmd, which was meant for the other. */
function setCommand(spec: Drafted, options: CommonOptions, { image, bundle }: SpecContext, issues: Issue[]): void {
  const { entrypoint, command } = options;
  if (bundle !== undefined && entrypoint === undefined && command === undefined) return;
  const cmd = command ?? (entrypoint === undefined ? (image?.Cmd ?? []) : []);
  spec.process.args = [...(entrypoint ?? image?.Entrypoint ?? []), ...cmd];
  if (spec.process.args.length === 0) {
    issues.push({ path: '/command', message: 'no command: give command, or an image with Cmd or Entrypoint' });
  }
}

function setProcess(spec: Drafted, options: CommonOptions, { image, bundle, user }: SpecContext): void {
  const { process } = spec;
  const { tty } = options;
  if (tty !== undefined) process.terminal = tty !== false;
  if (typeof tty === 'object') process.consoleSize = { height: tty.rows, width: tty.columns };
  const given = Object.keys(options.env ?? {}).map((name) => `${name}=${options.env![name]}`);
  // Docker's order of precedence: the options, the image, and what the container itself brings.
  const own = [
    ...(process.env ?? []),
    ...(bundle === undefined && spec.hostname !== undefined ? [`HOSTNAME=${spec.hostname}`] : []),
    ...(bundle === undefined && process.terminal === true ? ['TERM=xterm'] : []),
  ];
  process.env = mergeEnv(own, image?.Env ?? [], given);
  const cwd = options.cwd ?? image?.WorkingDir ?? '';
  if (cwd !== '') process.cwd = cwd.startsWith('/') ? cwd : `/${cwd}`;
  if (user !== undefined) process.user = { ...process.user, uid: user.uid, gid: user.gid };
  if (user !== undefined && user.additionalGids.length > 0) process.user.additionalGids = [...user.additionalGids];
  else if (user !== undefined) delete process.user.additionalGids;
}

function setPrivileges(spec: Drafted, options: CommonOptions, context: SpecContext): void {
  const { process, linux } = spec;
  if (options.noNewPrivileges !== undefined) process.noNewPrivileges = options.noNewPrivileges;
  if (context.bundle === undefined || options.capabilities !== undefined) {
    const bounding = boundingSet(process.capabilities?.bounding ?? [], options.capabilities);
    // What execve(2) would do to another user's sets anyway; the bounding set stays, for its set-user-id programs.
    const effective = process.user.uid === 0 ? bounding : [];
    process.capabilities = {
      bounding,
      effective: [...effective],
      permitted: [...effective],
      inheritable: [],
      ambient: [],
    };
  }
  const profile = options.seccomp ?? (context.bundle === undefined ? 'default' : undefined);
  if (profile === 'unconfined') delete linux.seccomp;
  else if (profile === 'default') {
    if (context.seccomp === undefined) throw new RuntsError('ERR_INTERNAL', 'no default seccomp profile was handed in');
    linux.seccomp = (isShared(context.seccomp, options) ? context.seccomp : copy(context.seccomp)) as SeccompProfile;
  } else if (profile !== undefined) linux.seccomp = copy(profile) as SeccompProfile;
}

/** A constant is everybody's; whoever edits the configuration has one of their own. */
const isShared = (profile: SeccompProfile, { spec: edit }: CommonOptions) => edit === undefined && isConstant(profile);

/** Docker's rule for ALL: it is dropped before anything is added, and added before anything is dropped. */
export function boundingSet(base: readonly string[], change: CommonOptions['capabilities'] = {}): string[] {
  const { add = [], drop = [] } = change;
  const start = add.includes('ALL') ? capabilityNames : drop.includes('ALL') ? [] : base;
  const dropped = new Set<string>(drop.filter((name) => name !== 'ALL'));
  const named = add.filter((name) => name !== 'ALL');
  return [...new Set<string>([...start.filter((name) => !dropped.has(name)), ...named])];
}

/** The kernel's usual period of the processor quota: 100 ms. */
const periodUs = 100_000;

function setLimits(spec: Drafted, limits: Limits, { devices = {} }: SpecContext, issues: Issue[]): void {
  spec.linux.resources = limitedResources(spec.linux.resources ?? {}, limits, devices, issues);
}

/** Limits in the words of the OCI, over those that are there. */
export function limitedResources(
  present: Draft<Resources>,
  limits: Limits,
  devices: NonNullable<SpecContext['devices']>,
  issues: Issue[],
): Draft<Resources> {
  const resources = { ...present };
  const memory = parseBytes(limits.memory);
  const swap = parseBytes(limits.swap);
  if (memory !== undefined) {
    resources.memory = { ...resources.memory, limit: memory, ...(swap !== undefined && { swap: memory + swap }) };
  }
  const cpu: Draft<CpuResources> = { ...resources.cpu };
  if (limits.cpus !== undefined) Object.assign(cpu, { quota: Math.round(limits.cpus * periodUs), period: periodUs });
  if (limits.cpuset !== undefined) cpu.cpus = limits.cpuset;
  if (Object.keys(cpu).length > 0) resources.cpu = cpu;
  if (limits.pids !== undefined) resources.pids = { limit: limits.pids };
  const throttles = (key: 'readBps' | 'writeBps'): ThrottleDevice[] =>
    (limits.io ?? []).flatMap((limit, i) => {
      const rate = parseBytes(limit[key]);
      const numbers = hasOwn(devices, limit.device) ? devices[limit.device] : undefined;
      if (rate === undefined) return [];
      if (numbers !== undefined) return [{ ...numbers, rate }];
      issues.push({ path: `/limits/io/${i}/device`, message: `is no block device: ${JSON.stringify(limit.device)}` });
      return [];
    });
  if (limits.io !== undefined) {
    const io = { throttleReadBpsDevice: throttles('readBps'), throttleWriteBpsDevice: throttles('writeBps') };
    resources.blockIO = { ...resources.blockIO, ...io };
  }
  return resources;
}

/** The caller's own edit, and everything checked once more: the edit may be of any kind. */
function edited(spec: Drafted, edit: CommonOptions['spec']): Spec {
  const result: unknown = edit === undefined ? spec : (edit(spec) ?? spec);
  if (typeof (result as { then?: unknown }).then === 'function') {
    throw specError('cannot make a container', [{ path: '/spec', message: 'must not be an async function' }]);
  }
  const checked = checkSpec(result);
  if (checked.issues !== undefined) throw specError('the configuration of the container is not valid', checked.issues);
  return checked.spec;
}

/** The number of the signal that asks the container to stop: the option, the image's StopSignal, or SIGTERM. */
export function stopSignal(options: Pick<CommonOptions, 'stopSignal'>, image: ImageConfig = {}): number {
  const signal = options.stopSignal ?? (image.StopSignal || 'SIGTERM');
  const number = signalNumber(signal);
  if (number !== undefined && number > 0) return number;
  throw specError('cannot tell how to stop the container', [
    { path: '/stopSignal', message: `unknown signal ${JSON.stringify(signal)}` },
  ]);
}
