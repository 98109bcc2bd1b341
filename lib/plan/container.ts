import { deviceAccess } from '../cgroups/devices.ts';
import { cgroupPlan } from '../cgroups/writes.ts';
import { RuntsError } from '../errors.ts';
import { idMaps, isMapped, subordinateHint } from '../namespaces/maps.ts';
import { type SpawnShape, spawnShape } from '../namespaces/shape.ts';
import { writeSysctls } from '../namespaces/sysctl.ts';
import { addTimeNamespace } from '../namespaces/time.ts';
import { setNames } from '../namespaces/uts.ts';
import { capabilitySets, reaperCapabilities } from '../process/capabilities.ts';
import { commandFiles } from '../process/environment.ts';
import { execute } from '../process/exec.ts';
import { identity } from '../process/identity.ts';
import { setRlimits } from '../process/limits.ts';
import { setOomScore } from '../process/oom.ts';
import {
  openTerminal,
  ownStdio,
  type Stdio,
  setStdio,
  startSession,
  type Terminal,
  type WindowSize,
} from '../process/stdio.ts';
import { attributes, propagations } from '../rootfs/attributes.ts';
import { addDevices } from '../rootfs/devices.ts';
import { hostRoot } from '../rootfs/host-root.ts';
import { addLinks } from '../rootfs/links.ts';
import { maskPaths, protectPaths } from '../rootfs/mask.ts';
import { addMounts, receivesMounts } from '../rootfs/mounts.ts';
import { rootPropagation, separateMounts, setRootPropagation } from '../rootfs/propagation.ts';
import { directoryRoot, protectRoot } from '../rootfs/root.ts';
import { at, type HostMount, type Site } from '../rootfs/site.ts';
import { systemMount } from '../rootfs/system.ts';
import type { Process, Spec } from '../spec/types.ts';
import { addInput, type Draft, newDraft } from './draft.ts';
import type { Facts } from './facts.ts';
import { type Maps, type Plan, tags } from './plan.ts';
import { checkPlan } from './rules.ts';
import { seccompFilter } from './seccomp.ts';
import { refuseUnsupported } from './unsupported.ts';

/** One container to be made. */
export interface ContainerRequest {
  /** Names the cgroup, where there is one. */
  readonly id: string;
  /** Checked by lib/spec/check.ts. Its `root.path` and `process.terminal` are not looked at: `root` and `stdio` are. */
  readonly spec: Spec;
  /** Absolute; what relative sources of binds are below. */
  readonly bundle?: string | undefined;
  readonly root: { readonly kind: 'directory'; readonly path: string } | { readonly kind: 'host' };
  /** The init stays as process 1. */
  readonly reap: boolean;
  readonly stdio: 'pipes' | 'terminal';
  /** Descriptors 0 to 2 are pipes that were made for this container: its user may own them. */
  readonly ownStdio: boolean;
  /** Without a reaper: the command is killed when the host process dies. */
  readonly deathSignal?: boolean | undefined;
  readonly consoleSize?: WindowSize | undefined;
}

/**
 * Compiles a configuration into the plan of one container: the order of its ops is what keeps the container in. Pure:
 * the same request and facts give the same plan. Throws what cannot be done on this host, or by this version.
 */
export function planContainer(request: ContainerRequest, facts: Facts): Plan {
  const { spec } = request;
  refuseUnsupported(spec);
  const scene = setScene(request, facts);
  const { draft, process } = scene;
  const { ops } = draft;

  enterNamespaces(scene);
  const site = buildRoot(scene);
  const proc = procHandle(site);
  addMounts(site, spec.mounts ?? [], request.bundle);
  setUpDev(site, spec);
  setNames(ops, spec, site.own);
  // While the files are not read-only and not hidden yet:
  writeSysctls(ops, proc, spec.linux.sysctl ?? {}, site.own);
  setOomScore(ops, proc, process.oomScoreAdj);
  if (scene.shape.time) addTimeNamespace(ops, proc, spec.linux.timeOffsets ?? {});
  const terminal = addTerminal(scene, site);
  hidePaths(site, spec);
  makeWorkingDirectory(site, process.cwd);
  if (spec.root.readonly) protectRoot(site);
  ops.op('pivot', { root: site.root }, 'default: root');
  if (spec.linux.rootfsPropagation) setRootPropagation(ops, spec.linux.rootfsPropagation);
  if (site.own.has('network')) ops.op('link_up', { name: 'lo' }, 'default: loopback');
  ops.op('chdir', { path: process.cwd }, '/process/cwd');
  const files = commandFiles(process.args, process.env ?? []);
  // Now, so that a missing command is an error of create: it is too late for one once the container has started.
  ops.op('find', { files }, '/process/args/0');
  ops.op('sync', { tag: tags.start }, 'default: start');
  if (request.reap) ops.op('reap', { capabilities: reaperCapabilities }, 'default: reaper');
  addProcess(scene, files, terminal);
  return finish(scene);
}

/** What is decided before the first op. */
interface Scene {
  readonly request: ContainerRequest;
  readonly facts: Facts;
  readonly process: Process;
  readonly shape: SpawnShape;
  readonly maps: Maps | undefined;
  readonly receives: boolean;
  readonly draft: Draft;
  readonly stdio: Stdio | undefined;
}

function setScene(request: ContainerRequest, facts: Facts): Scene {
  const { spec } = request;
  const { linux, process } = spec;
  if (process === undefined) {
    const issues = [{ path: '/process', message: 'is needed to make a container' }];
    throw new RuntsError('ERR_SPEC', 'cannot make a container without a process', { origin: '/process', issues });
  }
  const shape = spawnShape(linux.namespaces, { privileged: facts.privileged, reap: request.reap });
  const maps = shape.created.has('user') ? idMaps(linux, facts) : undefined;
  const rootFlags = linux.rootfsPropagation ? rootPropagation(linux.rootfsPropagation).flags : 0;
  const receives =
    (rootFlags & (propagations.slave | propagations.shared)) !== 0 || (spec.mounts ?? []).some(receivesMounts);
  const draft = newDraft();
  const stdio = request.stdio === 'pipes' ? stdioInputs(draft) : undefined;
  return { request, facts, process, shape, maps, receives, draft, stdio };
}

function stdioInputs(draft: Draft): Stdio {
  const origin = 'default: stdio';
  return {
    stdin: addInput(draft, 'stdin', { kind: 'stdio', stream: 0, origin }),
    stdout: addInput(draft, 'stdout', { kind: 'stdio', stream: 1, origin }),
    stderr: addInput(draft, 'stderr', { kind: 'stdio', stream: 2, origin }),
  };
}

function enterNamespaces({ draft, shape, receives }: Scene): void {
  const { opening: ops } = draft;
  if (shape.created.has('user')) ops.op('become_root', {}, 'default: user namespace');
  else ops.op('undumpable', {}, 'default: no attaching');
  if (shape.joined.length > 0) {
    const namespaces = shape.joined.map(({ type, path, origin }) =>
      addInput(draft, type, { kind: 'namespace', type, path, origin }),
    );
    ops.op('join', { namespaces, user: undefined }, shape.joined[0]!.origin);
  }
  separateMounts(ops, receives, receives ? '/linux/rootfsPropagation' : 'default: propagation');
}

function buildRoot(scene: Scene): Site {
  const { request, facts, shape, maps, receives, draft } = scene;
  const bare: Omit<Site, 'root'> = {
    ops: draft.ops,
    facts,
    own: shape.created,
    isGidMapped: (gid) => maps === undefined || isMapped(maps.gids, gid),
    clone: (mount) => cloneMount(scene, mount),
    forced: forcedAttributes(scene),
    receives,
    placed: [],
  };
  if (request.root.kind === 'directory') return { ...bare, root: directoryRoot(bare, request.root.path) };
  return { ...bare, root: hostRoot(bare, { readonly: request.spec.root.readonly === true }) };
}

/**
 * In a helper that keeps the host's rights where those are needed: to reach a directory that root of the container may
 * not enter, and to map owners. Otherwise in the init itself, before anything is mounted: the new root stands on the old
 * one, and a bind of "/" is to show the host's.
 */
function cloneMount({ facts, shape, draft, receives }: Scene, mount: HostMount) {
  const { stem, source, recursive, idmap, origin } = mount;
  if (facts.privileged && shape.created.has('user')) {
    return { register: addInput(draft, stem, { kind: 'mount', source, recursive, idmap, origin }), shared: true };
  }
  const dst = draft.ops.register(stem);
  draft.opening.op('clone_mount', { dst, path: source, recursive: recursive ? 1 : 0 }, origin);
  return { register: dst, shared: receives };
}

/** In a user namespace the kernel makes every new mount nodev for devices by itself. */
function forcedAttributes({ request: { spec }, process, shape }: Scene): number {
  const isolated = shape.created.has('user');
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

function setUpDev(site: Site, spec: Spec): void {
  // A /dev of somebody else's: it has what it is to have, and what we made there would stay.
  const dev = site.placed.filter(({ path }) => path === 'dev').pop();
  if (dev !== undefined && dev.fstype === undefined) return;
  addDevices(site, spec.linux.devices ?? []);
  addLinks(site);
}

function addTerminal({ request, process }: Scene, site: Site): Terminal | undefined {
  if (request.stdio !== 'terminal') return undefined;
  const devpts = site.placed.filter(({ path, fstype }) => path === 'dev/pts' && fstype === 'devpts').pop();
  return openTerminal(site.ops, {
    devpts: devpts?.register,
    console: at(site, '/dev/console'),
    tag: tags.console,
    size: request.consoleSize ?? process.consoleSize,
  });
}

function hidePaths(site: Site, { linux }: Spec): void {
  const masked = linux.maskedPaths ?? [];
  if (masked.length > 0) {
    const nullDevice = site.ops.register('null');
    site.ops.op('open', { dst: nullDevice, path: '/dev/null' }, 'default: null device');
    maskPaths(site, masked, nullDevice);
  }
  protectPaths(site, linux.readonlyPaths ?? []);
}

/** As every runtime does: an image's WORKDIR need not exist. */
function makeWorkingDirectory(site: Site, cwd: string): void {
  const location = at(site, cwd);
  if (location.path !== '') site.ops.op('directory', { ...location, mode: 0o755 }, '/process/cwd');
}

function addProcess(scene: Scene, files: readonly string[], terminal: Terminal | undefined): void {
  const { request, process, maps, draft } = scene;
  const { ops } = draft;
  const { linux } = request.spec;
  const who = identity(process.user, {
    maps,
    isMapped: (kind, id) => maps === undefined || isMapped(maps[kind], id),
    hint: subordinateHint,
  });
  const stdio = scene.stdio ?? { stdin: terminal!.slave, stdout: terminal!.slave, stderr: terminal!.slave };
  startSession(ops, request.id);
  setStdio(ops, stdio, terminal);
  if (terminal !== undefined || request.ownStdio) ownStdio(ops, stdio, terminal, who);
  // In the command only: a reaper that may open three files, or live for a second, is none.
  setRlimits(ops, process.rlimits ?? []);
  execute(ops, {
    files,
    argv: process.args,
    env: process.env ?? [],
    noNewPrivileges: process.noNewPrivileges === true,
    sets: capabilitySets(process.capabilities),
    identity: who,
    umask: process.user.umask ?? 0o022,
    deathSignal: request.deathSignal && !request.reap ? 9 : undefined,
    filter: seccompFilter(linux.seccomp, scene.facts.arch),
  });
}

function finish({ request, facts, shape, maps, draft }: Scene): Plan {
  const plan: Plan = {
    flags: shape.flags,
    maps,
    cgroup: cgroupPlan(request.spec.linux, facts, request.id),
    inputs: draft.inputs,
    segment: { inputs: draft.ops.segment().inputs, ops: [...draft.opening.segment().ops, ...draft.ops.segment().ops] },
    reaps: request.reap,
  };
  checkPlan(plan);
  return plan;
}
