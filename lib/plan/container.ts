import { deviceAccess } from '../cgroups/devices.ts';
import { writeSysctls } from '../namespaces/sysctl.ts';
import { addTimeNamespace } from '../namespaces/time.ts';
import { setNames } from '../namespaces/uts.ts';
import { reaperCapabilities } from '../process/capabilities.ts';
import { commandFiles } from '../process/environment.ts';
import { chdirConditions } from '../process/exec.ts';
import { runHooks } from '../process/hooks.ts';
import { keepsGroups } from '../process/identity.ts';
import { setLabels } from '../process/labels.ts';
import { setOomScore } from '../process/oom.ts';
import { openTerminal, type Terminal, type WindowSize } from '../process/stdio.ts';
import { attributes } from '../rootfs/attributes.ts';
import { setUpDev } from '../rootfs/devices.ts';
import { mountLabel } from '../rootfs/filesystems.ts';
import { hostRoot } from '../rootfs/host-root.ts';
import { maskPaths, protectPaths } from '../rootfs/mask.ts';
import { addMounts, protectMounts } from '../rootfs/mounts.ts';
import { type OverlayLayers, overlayRoot } from '../rootfs/overlay-root.ts';
import { setRootPropagation } from '../rootfs/propagation.ts';
import { directoryRoot, enterRoot, protectRoot } from '../rootfs/root.ts';
import { at, type HostMount, type Site } from '../rootfs/site.ts';
import { systemMount } from '../rootfs/system.ts';
import { type Lookups, nothingFound } from '../spec/lookups.ts';
import type { SystemView } from '../spec/options.ts';
import type { Spec } from '../spec/types.ts';
import { addCommand, type CommandStart } from './command.ts';
import { filtersDevices, planCgroup } from './container-cgroup.ts';
import { addInput } from './draft.ts';
import type { Facts } from './facts.ts';
import { fuseRoot } from './fuse.ts';
import { hasCreateHooks, leaveMounts } from './leave.ts';
import { netDevicesOf } from './network.ts';
import { addOutliving } from './outlive.ts';
import { type CgroupPlan, type Plan, tags } from './plan.ts';
import { checkPlan, takesInTime } from './rules.ts';
import { enterNamespaces, isScoreSet, type Scene, setScene, shapeOf } from './scene.ts';
import { refuseUnsupported } from './unsupported.ts';
import { placeView } from './view.ts';

/** One container to be made. */
export interface ContainerRequest {
  /** Names the cgroup, where there is one. */
  readonly id: string;
  /** Checked by lib/spec/check.ts. Its `root.path` and `process.terminal` are not looked at: `root` and `stdio` are. */
  readonly spec: Spec;
  /** Absolute; what relative sources of binds are below. */
  readonly bundle?: string | undefined;
  readonly root:
    | { readonly kind: 'directory'; readonly path: string; readonly nodev?: boolean | undefined }
    | { readonly kind: 'host' }
    | { readonly kind: 'overlay'; readonly layers: OverlayLayers };
  /** The init stays as process 1. */
  readonly reap: boolean;
  readonly stdio: 'pipes' | 'terminal';
  /** Descriptors 0 to 2 are pipes that were made for this container: its user may own them. */
  readonly ownStdio: boolean;
  /** Without a reaper: the command is killed when the host process dies. */
  readonly deathSignal?: boolean | undefined;
  readonly consoleSize?: WindowSize | undefined;
  /** Lines that come out of the terminal end as the command ends them, without a carriage return. */
  readonly plainOutput?: boolean | undefined;
  /**
   * Who lets the command run: who made the container, over its channel; or whoever connects to a socket, maybe much
   * later, as the OCI has it. Then everything that can fail fails before the container is created. `late`: over the channel,
   * when there is little left to be done but the exec: for one that is made ahead, and is to begin at once when it is let go.
   */
  readonly start?: 'channel' | 'late' | 'socket' | undefined;
  /** So many descriptors of ours, from 3 on, are the command's, too. */
  readonly preserveFds?: number | undefined;
  /** The root is moved to its place, where pivot_root(2) cannot: on an initial ramfs. */
  readonly noPivot?: boolean | undefined;
  /**
   * As the runtime specification has it: it has hooks, and a cgroup in any case; its root file system has the owners that it is
   * to have, and the process is given on our side what takes the host's rights.
   */
  readonly oci?: boolean | undefined;
  /** A session keyring of its own; true unless said. */
  readonly newKeyring?: boolean | undefined;
  /** It gets a cgroup wherever there can be one, also where nothing is limited: for what it counts, and to be paused. */
  readonly counted?: boolean | undefined;
  /** What /proc and /sys say of processors, memory and time: the container's, as its cgroup limits them. */
  readonly systemView?: SystemView | undefined;
  /** Who makes the cgroup; `cgroupfs` unless said. */
  readonly cgroupDriver?: CgroupPlan['driver'] | 'disabled' | undefined;
  /** Process 1 outlives us, and keeps what the command writes in so many files of so many bytes. */
  readonly outlive?: { readonly segments: number; readonly bytesMax: number } | undefined;
  /** What the host has of what the configuration names. */
  readonly lookups?: Lookups | undefined;
  /** The host has a mount namespace with nothing in it, by which the mounts of the host can be left without a copy of them. */
  readonly emptyMounts?: boolean | undefined;
}

/**
 * Compiles a configuration into the plan of one container: the order of its ops is what keeps the container in. Pure:
 * the same request and facts give the same plan. Throws what cannot be done on this host, or by this version.
 */
export function planContainer(request: ContainerRequest, facts: Facts): Plan {
  const plan = compile(request, facts);
  // What it takes of the host only where something else is refused, is not in its hands when it leaves.
  const whole = takesInTime(plan) ? plan : compile({ ...request, emptyMounts: false }, facts);
  checkPlan(whole, 'container');
  return whole;
}

function compile(request: ContainerRequest, facts: Facts): Plan {
  const { spec } = request;
  refuseUnsupported(request);
  const scene = setScene(request, facts);
  const { draft, process, shape } = scene;
  const { ops } = draft;

  enterNamespaces(scene);
  const site = buildRoot(scene);
  const proc = procHandle(site);
  addMounts(site, spec.mounts ?? [], request.bundle);
  if (request.systemView === 'limits') placeView(draft, site, shape.user);
  setUpDev(site, spec.linux.devices ?? []);
  // The mounts are there, and hooks may still make others.
  runCreateHooks(scene, site);
  setNames(ops, spec, site.own);
  // While the files are not read-only and not hidden yet:
  writeSysctls(ops, proc, spec.linux.sysctl ?? {}, site.own);
  if (!isScoreSet(shape)) setOomScore(ops, proc, process.oomScoreAdj);
  if (shape.time === 'reaper') addTimeNamespace(ops, proc, spec.linux.timeOffsets ?? {});
  const terminal = addTerminal(scene, site);
  hidePaths(site, spec);
  makeWorkingDirectory(site, process.cwd);
  protectMounts(site);
  if (spec.root.readonly) protectRoot(site);
  enterRoot(site, { noPivot: request.noPivot === true });
  if (spec.linux.rootfsPropagation) setRootPropagation(ops, spec.linux.rootfsPropagation);
  if (scene.shape.created.has('network')) ops.op('link_up', { name: 'lo' }, 'default: loopback');
  ops.op('chdir', { path: process.cwd }, '/process/cwd', chdirConditions(process.user, process.cwd));
  const files = commandFiles(process.args, process.env ?? []);
  // Now, so that a missing command is an error of create: it is too late for one once the container has started.
  ops.op('find', { files }, '/process/args/0');
  if ((request.start ?? 'channel') === 'channel') ops.op('sync', { tag: tags.start }, 'default: start');
  if (request.outlive !== undefined) addOutliving(draft, request.outlive);
  if (request.reap) ops.op('reap', { capabilities: reaperCapabilities }, 'default: reaper');
  setLabels(ops, proc, process);
  addFirstCommand(scene, files, terminal);
  if (shape.leaves) leaveMounts(scene);
  return finish(scene);
}

/** CLONE_NEW* flags of the plan that a configuration compiles into: known long before the rest of it. */
export const planFlags = (request: ContainerRequest, facts: Facts): number => shapeOf(request, facts).flags;

function buildRoot(scene: Scene): Site {
  const { request, facts, shape, maps, receives, draft } = scene;
  const warn = (origin: string, message: string) => void draft.warnings.push({ origin, message });
  const lookups = request.lookups ?? nothingFound;
  const { shared = [] } = lookups;
  const bare: Omit<Site, 'root'> = {
    ops: draft.ops,
    taking: shape.leaves ? draft.opening : draft.ops,
    leaves: shape.leaves,
    facts,
    lookups,
    // Joined ones are not the host's either, unless they are the very same.
    own: new Set([...shape.created, ...shape.joined.map(({ type }) => type).filter((type) => !shared.includes(type))]),
    maps,
    clone: (mount) => cloneMount(scene, mount),
    forced: forcedAttributes(scene),
    receives,
    rootPath: request.root.kind === 'directory' ? request.root.path : undefined,
    label: mountLabel(request.spec.linux.mountLabel, lookups, warn),
    warn,
    placed: [],
  };
  if (request.root.kind === 'host') {
    return { ...bare, root: hostRoot(bare, { readonly: request.spec.root.readonly === true }) };
  }
  if (request.root.kind === 'overlay') {
    const { layers } = request.root;
    if (layers.server) return { ...bare, root: fuseRoot(draft, bare, layers, shape.user) };
    const seen = hasCreateHooks(request) || request.noPivot === true;
    return { ...bare, root: overlayRoot(bare, layers, { seen }) };
  }
  const { path, nodev } = request.root;
  // Hooks that mount something into the root file system do it where the bundle has it; and what is to be moved over the
  // old root cannot stand there.
  const inPlace = hasCreateHooks(request) || request.noPivot === true;
  return { ...bare, root: directoryRoot(bare, path, { inPlace, nodev }) };
}

/**
 * In a helper that keeps the host's rights where those are needed: to reach a directory that root of the container may
 * not enter, and to map owners. Otherwise in the init itself, before anything is mounted: the new root stands on the old
 * one, and a bind of "/" is to show the host's.
 */
function cloneMount(scene: Scene, mount: HostMount) {
  const { facts, shape, draft, receives } = scene;
  const { stem, source, recursive, owners, origin } = mount;
  if (mount.owners !== undefined || (facts.privileged && shape.user !== 'host')) {
    const idmap = mapsOwners(scene, mount);
    return {
      register: addInput(draft, stem, { kind: 'mount', source, recursive, idmap, owners, origin }),
      shared: true,
    };
  }
  const dst = draft.ops.register(stem);
  draft.opening.op('clone_mount', { dst, path: source, recursive: recursive ? 1 : 0 }, origin);
  return { register: dst, shared: receives || shape.leaves };
}

/**
 * Whether the owners of a clone are seen through the container's user namespace: not if the init makes that itself, for it
 * is not there yet then. And the root of a bundle has the owners that it is to have: who unpacked it has seen to that.
 */
const mapsOwners = ({ request, shape }: Scene, { stem, idmap }: HostMount) =>
  idmap && shape.user === 'clone' && !(stem === 'root' && request.oci === true);

/** In a user namespace the kernel makes every new mount nodev for devices by itself; and a filter needs no help of mounts. */
function forcedAttributes({ request, facts, process, shape }: Scene): number {
  const { spec } = request;
  if (filtersDevices(request, facts)) return 0;
  // In a user namespace, of its own or ours, the kernel makes every new mount nodev for devices by itself.
  const isolated = shape.user !== 'host' || facts.nested === true;
  const access = deviceAccess({
    rules: spec.linux.resources?.devices ?? [],
    devices: spec.linux.devices ?? [],
    isolated,
    canRemount: (process.capabilities?.bounding ?? []).includes('CAP_SYS_ADMIN'),
  });
  return access === 'listed' && !isolated ? attributes.nodev : 0;
}

/**
 * A procfs that can be trusted, and written to: the one that was mounted for the container, by its register, or one that
 * nobody sees.
 */
function procHandle(site: Site): () => string {
  let own: string | undefined;
  return () => {
    const mounted = site.placed.find(({ fstype, readonly }) => fstype === 'proc' && !readonly);
    if (mounted !== undefined) return mounted.register;
    const noSuidDevExec = attributes.nosuid | attributes.nodev | attributes.noexec;
    own ??= systemMount(site, { fstype: 'proc', options: [], attributes: noSuidDevExec, origin: 'default: procfs' });
    return own;
  };
}

/** Those of the host, in its namespaces, then those that run here, with the new root as their working directory. */
function runCreateHooks({ request, draft: { ops } }: Scene, site: Site): void {
  const { prestart = [], createRuntime = [], createContainer = [] } = request.spec.hooks ?? {};
  if (prestart.length + createRuntime.length > 0) ops.op('sync', { tag: tags.hooks }, '/hooks');
  if (createContainer.length === 0) return;
  const state = ops.register('state');
  ops.op('receive', { dst: state, tag: tags.state }, '/hooks/createContainer');
  ops.op('enter', { dir: site.root }, '/hooks/createContainer');
  runHooks(ops, 'createContainer', createContainer, { state, env: [] });
}

function addTerminal({ request, process, draft }: Scene, site: Site): Terminal | undefined {
  if (request.stdio !== 'terminal') return undefined;
  const devpts = site.placed.filter(({ path, fstype }) => path === 'dev/pts' && fstype === 'devpts').pop();
  const terminal = openTerminal(site.ops, {
    devpts: devpts?.register,
    console: at(site, '/dev/console'),
    size: request.consoleSize ?? process.consoleSize,
    plain: request.plainOutput,
  });
  draft.ops.op('send_handle', { src: terminal.master, tag: tags.console }, '/process/terminal');
  return terminal;
}

function hidePaths(site: Site, { linux }: Spec): void {
  const masked = linux.maskedPaths ?? [];
  if (masked.length > 0) {
    maskPaths(site, masked, nullDevice(site));
  }
  protectPaths(site, linux.readonlyPaths ?? []);
}

/** What is to be cloned must be in our mount namespace, where the host's own is not any more once its mounts are left. */
function nullDevice(site: Site): string {
  if (site.leaves && site.nullDevice !== undefined) return site.nullDevice;
  const opened = site.ops.register('null');
  site.ops.op('open', { dst: opened, path: '/dev/null' }, 'default: null device');
  return opened;
}

/** As every runtime does: an image's WORKDIR need not exist. */
function makeWorkingDirectory(site: Site, cwd: string): void {
  const location = at(site, cwd);
  if (location.path !== '') site.ops.op('directory', { ...location, mode: 0o755 }, '/process/cwd');
}

function addFirstCommand(scene: Scene, files: readonly string[], terminal: Terminal | undefined): void {
  const { request, process, shape, maps, draft, facts } = scene;
  const { spec, id, reap } = request;
  addCommand(draft, facts, {
    id,
    linux: spec.linux,
    process,
    files,
    users: shape.user === 'join' ? 'joined' : maps,
    stdio: scene.stdio,
    terminal,
    ownStdio: request.ownStdio,
    newKeyring: request.newKeyring ?? true,
    keepGroups: keepsGroups(spec.annotations),
    preserveFds: request.preserveFds ?? 0,
    cpus: spec.linux.resources?.cpu?.cpus,
    deathSignal: request.deathSignal && !reap ? 9 : undefined,
    start: commandStart(request),
  });
}

function commandStart({ start, oci, spec }: ContainerRequest): CommandStart | undefined {
  if (start === 'socket') return { kind: 'socket', hooks: spec.hooks?.startContainer ?? [] };
  // To find out whether a filter lets it wait takes longer than to load it: that is for one that waits long.
  return start === 'late' ? { kind: 'channel', tag: tags.start, filtered: oci !== true } : undefined;
}

function finish(scene: Scene): Plan {
  const { request, facts, shape, maps, draft } = scene;
  const { netDevices, intelRdt } = request.spec.linux;
  return {
    flags: shape.flags,
    maps,
    cgroup: planCgroup(request, facts, maps),
    inputs: draft.inputs,
    segment: { inputs: draft.ops.segment().inputs, ops: [...draft.opening.segment().ops, ...draft.ops.segment().ops] },
    reaps: request.reap,
    ...(request.outlive !== undefined && { outlives: true }),
    netDevices: netDevicesOf(netDevices, { privileged: facts.privileged }),
    intelRdt,
    ...(draft.warnings.length > 0 && { warnings: draft.warnings }),
  };
}
