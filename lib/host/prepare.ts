import { RuntsError, specError } from '../errors.ts';
import { type ContainerRequest, planFlags } from '../plan/container.ts';
import type { Facts } from '../plan/facts.ts';
import { containerMaps, isMapped } from '../plan/keeper.ts';
import type { Plan } from '../plan/plan.ts';
import { defaultProfile } from '../seccomp/default.ts';
import { parseBytes } from '../spec/bytes.ts';
import { checkOptions } from '../spec/check-options.ts';
import { constant } from '../spec/constant.ts';
import { containerConfig } from '../spec/container-config.ts';
import { defaultCapabilities } from '../spec/defaults.ts';
import { restartPolicy } from '../spec/detached.ts';
import { boundingSet, type SpecContext, specFromOptions, stopSignal } from '../spec/from-options.ts';
import type { ImageConfig } from '../spec/image-config.ts';
import { type Lookups, nothingFound } from '../spec/lookups.ts';
import { refuseNotYet } from '../spec/not-yet.ts';
import type { CommonOptions, ContainerOptions } from '../spec/options.ts';
import { Recent } from '../spec/recent.ts';
import type { IdMapping, SeccompProfile, Spec } from '../spec/types.ts';
import { type ResolvedUser, resolveUser } from '../spec/users.ts';
import { readBundle } from './bundle.ts';
import type { Cancel } from './cancel.ts';
import { compiledPlan, compiledSpec } from './compiled.ts';
import type { EmptyMounts } from './empty-mounts.ts';
import { errnoOf, refused } from './failure.ts';
import type { Host } from './host.ts';
import {
  type ImageIdentity,
  type ImagePort,
  type ImageRoot,
  type OpenImage,
  type Reserved,
  type SnapshotPort,
  unpackImage,
} from './image.ts';
import { lookUp } from './lookups.ts';
import { usableDirectory, usableRoot } from './rootfs.ts';
import { Undo, withReleaseErrors } from './undo.ts';
import { checkView, withOwnTime } from './view.ts';
import {
  holdVolumes,
  type MountedVolume,
  standVolume,
  type VolumePort,
  type VolumeWanted,
  wantedVolumes,
  withImageVolumes,
} from './volumes.ts';

export type { ImagePort } from './image.ts';

export interface PrepareRequest {
  /** Not checked yet. */
  readonly options: ContainerOptions;
  readonly id: string;
  /** Pipes are ours to give to the container's user; what the caller brought is not. */
  readonly ownStdio: boolean;
  /** It gets a cgroup wherever there can be one. */
  readonly counted?: boolean | undefined;
  /** It waits as far on as it can, for whoever starts it (ContainerRequest). */
  readonly late?: boolean | undefined;
  /** By which it may leave the mounts of the host. */
  readonly emptyMounts?: EmptyMounts | undefined;
  /** A directory of this id, made ahead. */
  readonly reserved?: Reserved | undefined;
  readonly images: ImagePort;
  readonly snapshots?: SnapshotPort | undefined;
  readonly volumes?: VolumePort | undefined;
  /** It is to outlive us, on record in this file. */
  readonly detached?: Detached | undefined;
  readonly cancel?: Cancel | undefined;
}

export interface Detached {
  readonly record: string;
  readonly log: NonNullable<ContainerRequest['outlive']>;
}

/** With what the host was asked about the options. */
interface Asked extends PrepareRequest {
  readonly devices: SpecContext['devices'];
  /** What there is for each volume, where they are held. */
  readonly mounts?: SpecContext['volumes'];
}

/** The image of a container, and what became of it on disk. */
export interface PreparedImage extends ImageIdentity {
  readonly config: ImageConfig;
  readonly root: ImageRoot;
}

/** A container that could be made: its plan, and what there is on disk for it. */
export interface Prepared {
  readonly spec: Spec;
  readonly plan: Plan;
  readonly command: readonly string[];
  /** By number. */
  readonly stopSignal: number;
  readonly terminal: boolean;
  /** What it was made of, where that is an image. */
  readonly image?: PreparedImage | undefined;
  /** What the plan was made from, but for what was looked up on the host. */
  readonly request: Omit<ContainerRequest, 'lookups'>;
  readonly volumes: readonly VolumeWanted[];
  /** What drivers have mounted for one that is detached, by the name of the volume. */
  readonly mounted: Readonly<Record<string, MountedVolume>>;
  /** Its time since boot begins with it, at each start. */
  readonly ownTime: boolean;
  /** Removes what was unpacked. The container must have ended. */
  release(options?: ReleaseOptions): Promise<void>;
  /** Of one that is detached: from now on what there is for it stays, whatever becomes of us. */
  settle(): Promise<void>;
}

export interface ReleaseOptions {
  /** Volumes that nobody has named stay too. */
  readonly keepVolumes?: boolean | undefined;
}

/** What this host refuses while it is only looked at is told as everything else that it refuses. */
async function asked<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    throw refused(error, { at: 'state', doing: 'prepare the container' });
  }
}

/** From options to a plan: checks them, finds the root file system, reads its users. Nothing of the host is changed but for an image, which is unpacked. */
export async function prepare(host: Host, facts: Facts, request: PrepareRequest): Promise<Prepared> {
  const issues = checkOptions(request.options);
  if (issues.length > 0) throw specError('cannot make a container of these options', issues);
  refuseNotYet(request.options);
  if (request.options.systemView === 'limits') await checkView(host);
  const undo = new Undo();
  try {
    const devices = await asked(limitedDevices(host, request.options.limits));
    const source = await asked(openSource(host, facts, { ...request, devices }, undo));
    const options = withImageVolumes(request.options, source.image, request.volumes);
    const held = await asked(holdVolumes(facts, { ...request, options }, source));
    const releases = { keepVolumes: false };
    undo.add(() => held?.release({ keep: releases.keepVolumes }));
    const user = await asked(findUser(host, facts, options, source));
    const asSaid = specified(host, facts, { ...request, options, devices, mounts: held?.mounts }, source, user);
    const begins = options.systemView === 'limits' && isReaped(request, source);
    const spec = begins ? await withOwnTime(host, asSaid) : asSaid;
    const lookups = await asked(lookUp(host, spec, source.directory));
    const { lookups: _, ...asRequested } = requested(spec, request, source, lookups);
    const made = { ...asRequested, ...(await request.emptyMounts?.for(asRequested, facts)) };
    const plan = compiledPlan({ ...made, lookups }, facts);
    return {
      spec,
      plan,
      request: made,
      volumes: wantedVolumes(options),
      mounted: held?.mounted ?? {},
      ownTime: spec !== asSaid,
      command: spec.process?.args ?? [],
      stopSignal: stopSignal(request.options, source.image),
      terminal: spec.process?.terminal === true,
      image: preparedImage(source),
      release: async ({ keepVolumes = false } = {}) => {
        releases.keepVolumes = keepVolumes;
        const [first, ...others] = await undo.run();
        if (first !== undefined) throw withReleaseErrors(first, others);
      },
      async settle() {
        await held?.settle();
        await source.settle?.();
      },
    };
  } catch (error) {
    throw withReleaseErrors(error, await undo.run());
  }
}

function preparedImage({ identity, image, made }: Source): PreparedImage | undefined {
  if (identity === undefined || image === undefined || made === undefined) return undefined;
  return { ...identity, config: image, root: made };
}

function specified(
  host: Host,
  facts: Facts,
  { options, id, devices, mounts: volumes }: Asked,
  { image, bundle, root, seccomp = defaultSeccomp(facts, options) }: Source,
  user: ResolvedUser | undefined,
): Spec {
  const { cwd } = host.environment;
  const { spec: edit, signal: _s, ready: _r, stdin: _i, stdout: _o, stderr: _e, name: _n, ...rest } = options;
  // Where it comes from is in the other parts.
  const { image: _1, from: _2, rootfs: _3, bundle: _4, host: _5, ...said } = rest as Partial<ContainerOptions>;
  const make = (id: string, { options, user, ...context }: Described): Spec =>
    withHome(specFromOptions(options, { ...context, bundle, seccomp, id, user }), user);
  const parts: Described = { options: said, image, root, user, cwd, volumes, devices };
  if (edit !== undefined) return make(id, { ...parts, options });
  return compiledSpec(host, facts, { id, parts, constants: [bundle, seccomp] }, make);
}

/** What is said of a container, but for what is the same object each time. */
type Described = Omit<SpecContext, 'user' | 'bundle' | 'seccomp' | 'id'> & {
  readonly options: CommonOptions;
  readonly user: ResolvedUser | undefined;
};

/** The numbers of the block devices whose rates are limited; what is none is told by path. */
export async function limitedDevices(
  host: Host,
  limits: CommonOptions['limits'],
): Promise<NonNullable<SpecContext['devices']>> {
  const found: Record<string, { readonly major: number; readonly minor: number }> = {};
  for (const { device } of limits?.io ?? []) {
    const node = await host.files.device(device).catch(() => undefined);
    if (node?.type === 'b') found[device] = { major: node.major, minor: node.minor };
  }
  return found;
}

function requested(
  spec: Spec,
  { options, id, ownStdio, counted, late, detached }: PrepareRequest,
  source: Source,
  lookups: Lookups,
): ContainerRequest {
  const { directory } = source;
  const reap = isReaped({ options, detached }, source);
  return {
    id,
    spec,
    bundle: directory,
    root: rootOf(source, detached !== undefined || mayRunAgain(options)),
    reap,
    stdio: spec.process?.terminal === true ? 'terminal' : 'pipes',
    ownStdio,
    deathSignal: !reap,
    counted,
    ...(late === true && { start: 'late' as const }),
    systemView: options.systemView,
    lookups,
    ...(detached !== undefined && { outlive: detached.log }),
  };
}

/** In a bundle, as the OCI has it, the command itself is process 1; with the library a reaper is. */
const isReaped = ({ options, detached }: Pick<PrepareRequest, 'options' | 'detached'>, { bundle }: Source): boolean =>
  options.init ?? (bundle === undefined || detached !== undefined);

const mayRunAgain = ({ restart }: CommonOptions): boolean => restartPolicy(restart).policy !== 'no';

/** A device node of an image is not to lead to a device of the host. */
function rootOf({ root, image, made }: Source, startedAgain: boolean): ContainerRequest['root'] {
  // Where it goes with the container, which is started once, nothing of it has to be on the disk.
  if (made?.overlay !== undefined) return { kind: 'overlay', layers: { ...made.overlay, volatile: !startedAgain } };
  return root === undefined ? { kind: 'host' } : { kind: 'directory', path: root, nodev: image !== undefined };
}

/** Where the root file system comes from, and what came with it. */
interface Source {
  /** Absolute; undefined for the host's own. */
  readonly root: string | undefined;
  /** Made of an image. */
  readonly made?: ImageRoot;
  readonly image?: ImageConfig;
  readonly identity?: ImageIdentity;
  readonly bundle?: Spec;
  /** What a bundle's relative paths are below. */
  readonly directory?: string;
  /** In the place of the default profile. */
  readonly seccomp?: SeccompProfile;
  settle?(): Promise<void>;
}

/** Of a plan that is only foreseen: hundreds of names are copied and checked for each. */
const standSeccomp: SeccompProfile = constant({ defaultAction: 'SCMP_ACT_ALLOW' });

async function openSource(host: Host, facts: Facts, request: Asked, undo: Undo): Promise<Source> {
  const { options, id, reserved, cancel } = request;
  if (options.host !== undefined) return { root: undefined };
  if (options.rootfs !== undefined) {
    return { root: await usableRoot(host, absolute(host, options.rootfs), 'root file system', '/rootfs') };
  }
  if (options.bundle !== undefined) {
    const path = absolute(host, options.bundle);
    const bundle = constant(
      await readBundle(host, path).catch(async (error: unknown) => {
        // That it is no directory is the better thing to say.
        await usableDirectory(host, path, 'bundle', '/bundle');
        throw error;
      }),
    );
    const root = bundle.root.path.startsWith('/') ? bundle.root.path : `${path}/${bundle.root.path}`;
    return { root: await usableRoot(host, root, 'root file system', '/root/path'), bundle, directory: path };
  }
  const { spec: _edit, ...rest } = options;
  // The caller's own edit of the specification is left out, for it is to be called once.
  const foresee = (image: ImageConfig) => {
    stopSignal(options, image);
    const stand = { root: '/image', image, seccomp: standSeccomp };
    const unedited = withImageVolumes(rest as ContainerOptions, image, request.volumes);
    const mounts = Object.fromEntries(wantedVolumes(unedited).map(({ name }) => [name, standVolume]));
    const spec = specified(host, facts, { ...request, options: unedited, mounts }, stand, undefined);
    const note = {
      command: spec.process?.args ?? [],
      config: containerConfig(options, image),
      mountPoints: (spec.mounts ?? []).map(({ destination }) => destination),
    };
    const foreseen = requested(spec, request, stand, nothingFound);
    // Unpacking takes long, and no command, or a limit that cannot be set, can be told before: by a plan that is not used.
    return { flags: planFlags(foreseen, facts), note, refuse: () => void compiledPlan(foreseen, facts) };
  };
  const open = () => openOrigin(host, request);
  const { userns, storage } = options;
  const bytesMax = parseBytes(storage?.size);
  const detached = request.detached !== undefined;
  const unpacked = await unpackImage(host, facts, { open, id, userns, reserved, bytesMax, detached, cancel, foresee });
  undo.add(() => unpacked.release());
  return {
    root: unpacked.root.path,
    made: unpacked.root,
    image: unpacked.config,
    identity: unpacked.identity,
    settle: () => unpacked.settle(),
  };
}

/** The image, or what another container has left. */
async function openOrigin(host: Host, { options, images, snapshots, cancel }: PrepareRequest): Promise<OpenImage> {
  if (options.image !== undefined) {
    const { image, pull = 'missing' } = options;
    return images.open(image, { environment: host.environment, pull, cancel });
  }
  if (options.from !== undefined && snapshots !== undefined) return snapshots.open(options.from.id);
  throw new RuntsError('ERR_UNSUPPORTED', 'cannot make a container from a snapshot: there are none here', {
    origin: '/from',
  });
}

const absolute = ({ environment }: Host, path: string) => (path.startsWith('/') ? path : `${environment.cwd}/${path}`);

/** Files of an image are hostile: no more of them is read. */
const accountsBytesMax = 1024 * 1024;

/** Who the command runs as, where something says so; a bundle says it by itself. */
async function findUser(
  host: Host,
  facts: Facts,
  options: CommonOptions,
  source: Source,
): Promise<ResolvedUser | undefined> {
  const asked = options.user ?? source.image?.User ?? '';
  if (asked === '' && source.bundle !== undefined) return undefined;
  const root = source.root ?? '/';
  const read = (path: string) =>
    source.made?.read(path, accountsBytesMax) ?? host.files.readBelow(root, path, accountsBytesMax);
  const [passwd, group] = await Promise.all(['etc/passwd', 'etc/group'].map(read));
  const user = resolveUser(asked === '' ? '0' : asked, passwd, group);
  // The groups of an account are a convenience here: those that the container cannot have are left away.
  const maps = containerMaps(options.userns ?? (source.bundle && bundleUserns(source.bundle)), facts);
  if (maps === undefined) return user;
  const possible = user.additionalGids.filter((gid) => isMapped(maps.gids, gid));
  return { ...user, additionalGids: maps.setgroups === 'deny' ? [] : possible };
}

/** What a bundle says of its user namespace, in the words of our options. */
function bundleUserns({ linux }: Spec): NonNullable<CommonOptions['userns']> {
  if (!linux.namespaces.some(({ type, path }) => type === 'user' && path === undefined)) return 'host';
  const { uidMappings = [], gidMappings = [] } = linux;
  if (uidMappings.length === 0 && gidMappings.length === 0) return 'auto';
  const map = ({ containerID, hostID, size }: IdMapping) => ({ container: containerID, host: hostID, size });
  return { uids: uidMappings.map(map), gids: gidMappings.map(map) };
}

function withHome(spec: Spec, user: ResolvedUser | undefined): Spec {
  const { process } = spec;
  if (process === undefined || user === undefined || process.env?.some((entry) => entry.startsWith('HOME=')))
    return spec;
  return { ...spec, process: { ...process, env: [...(process.env ?? []), `HOME=${user.home}`] } };
}

/** Docker's profile for what the container may do: with CAP_SYS_ADMIN, say, mount(2) passes. */
export function defaultSeccomp({ arch, kernel }: Facts, { capabilities }: CommonOptions): SeccompProfile {
  const bounding = boundingSet(defaultCapabilities, capabilities);
  return defaultProfiles.get([arch, kernel, ...bounding].join(' '), () => {
    const [major = 0, minor = 0] = kernel.split('.').map((part) => Number.parseInt(part, 10));
    const profile = constant(defaultProfile({ arch, kernel: [major, minor], capabilities: bounding }));
    return profile as unknown as SeccompProfile;
  });
}

/** By what they are made from. */
const defaultProfiles = new Recent<SeccompProfile>(16);
