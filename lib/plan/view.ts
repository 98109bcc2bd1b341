import { RuntsError } from '../errors.ts';
import { Builder } from '../program/builder.ts';
import { attributes, propagations } from '../rootfs/attributes.ts';
import { stagePlace } from '../rootfs/host-root.ts';
import { standRoot } from '../rootfs/root.ts';
import { at, changeMount, type Site } from '../rootfs/site.ts';
import { compileSeccomp } from '../seccomp/compile.ts';
import type { SeccompProfile } from '../seccomp/profile.ts';
import { namespaceFlags } from '../spec/names.ts';
import { addInput, type Draft } from './draft.ts';
import type { Facts } from './facts.ts';
import { type Segment, tags, type ViewInput } from './plan.ts';

const origin = '/systemView';

/** The sync point at which a system view has been made, and is going to be served. */
export const viewTag = 6;

/** The files of a system view, and what they lie over; `optional` is what not every kernel has. */
const files: readonly { readonly name: string; readonly path: string; readonly optional?: true }[] = [
  { name: 'cpuinfo', path: 'proc/cpuinfo' },
  { name: 'meminfo', path: 'proc/meminfo' },
  { name: 'stat', path: 'proc/stat' },
  { name: 'uptime', path: 'proc/uptime' },
  { name: 'loadavg', path: 'proc/loadavg' },
  { name: 'swaps', path: 'proc/swaps', optional: true },
  { name: 'diskstats', path: 'proc/diskstats', optional: true },
  { name: 'online', path: 'sys/devices/system/cpu/online', optional: true },
];

/** There is nothing to lie over: a kernel without swap, without block devices. procfs lets nobody make it. */
const missing = { unless: ['ENOENT', 'EACCES', 'EPERM'] };

/**
 * Puts the files of a system view over those of /proc and /sys, where these are mounted: clones of them, which are taken
 * out of the view while it stands at a place of its own, since only what is attached can be cloned.
 */
export function placeView(draft: Draft, site: Site, user: 'clone' | 'unshare' | 'join' | 'host'): void {
  if (user === 'join' || user === 'unshare') {
    throw new RuntsError(
      'ERR_UNSUPPORTED',
      'cannot make a system view for a container that joins namespaces of others beside a user namespace',
      { origin, hint: 'Leave away systemView, or the paths of the namespaces.' },
    );
  }
  const shown = files.filter(({ path }) => standsOn(site, path.startsWith('proc/') ? 'proc' : 'sysfs'));
  if (shown.length === 0) return;
  const view = addInput(draft, 'view', { kind: 'view', mapped: user === 'clone', origin });
  const { ops } = site;
  ops.op('attach_host', { src: view, path: stagePlace(site.facts) }, origin);
  for (const { name, path, optional } of shown) {
    const src = ops.register(name);
    ops.op('clone_below', { dst: src, root: view, path: name, recursive: 0 }, origin);
    changeMount(site, src, { set: attributes.readonly, clear: 0 }, false, origin);
    ops.op('attach', { src, ...at(site, `/${path}`), ordinary: 0 }, origin, optional ? missing : {});
    ops.op('close', { src }, origin);
  }
  ops.op('detach', { src: view }, origin);
  ops.op('enter', { dir: site.root }, origin);
  ops.op('close', { src: view }, origin);
}

/** Whether this file system is what the container sees where it belongs. */
function standsOn(site: Site, fstype: 'proc' | 'sysfs'): boolean {
  const place = fstype === 'proc' ? 'proc' : 'sys';
  const found = site.placed.filter(({ path }) => path === place).pop();
  return found?.fstype === fstype;
}

/** What it reads, and only that; what it writes goes to the descriptor that it has. */
const profile: SeccompProfile = {
  defaultAction: 'SCMP_ACT_KILL_PROCESS',
  syscalls: [
    {
      names: 'read close writev ppoll restart_syscall clock_gettime mmap madvise sendmsg recvmsg exit_group'.split(' '),
      action: 'SCMP_ACT_ALLOW',
    },
    {
      names: ['openat'],
      action: 'SCMP_ACT_ALLOW',
      args: [{ index: 2, value: 0o2000000, op: 'SCMP_CMP_EQ' }], // O_RDONLY | O_CLOEXEC
    },
  ],
};

/** An account that owns nothing, where the server has no user namespace to be root of. */
const nobody = 65534;

export interface ViewShape extends Pick<ViewInput, 'mapped'> {
  /** The container has a cgroup of its own. */
  readonly cgroup: boolean;
  /** The server ends with its channel; else with the last mount of the view alone, and is in a session of its own. */
  readonly owned: boolean;
}

/**
 * The program of the server. Inputs: the container's process in /proc, and its user namespace and its cgroup, where it has
 * them. The mount has to be made in the container's user namespace, or nobody there may read it; then the server leaves
 * everything behind: it has an empty root, no capabilities, and a filter.
 */
export function viewProgram({ mapped, cgroup, owned }: ViewShape, facts: Facts): Segment {
  const p = new Builder();
  const process = p.input('process');
  const user = mapped ? p.input('user') : undefined;
  const group = cgroup ? p.input('cgroup') : undefined;
  p.op('undumpable', {}, origin);
  if (!owned) p.op('new_session', {}, origin);
  p.op('open', { dst: 'proc', path: '/proc' }, origin);
  if (user !== undefined) p.op('join', { namespaces: [], user }, origin);
  p.op('unshare', { flags: namespaceFlags.mount }, origin);
  // Before we are somebody else, who may have no right to the device.
  p.op('fuse_mount', { device: 'device', mount: 'mount' }, origin);
  if (user !== undefined) p.op('become_root', {}, origin);
  p.op('propagation', { flags: propagations.private }, origin);
  p.op('fsmount', { dst: 'root', fstype: 'tmpfs', options: ['mode=555', 'size=4k'], attributes: 0 }, origin);
  standRoot({ ops: p }, 'root', origin);
  p.op('pivot', { root: 'root' }, origin);
  p.op('close', { src: 'root' }, origin);
  if (user === undefined) {
    const ids = { uid: nobody, gid: nobody, groups: new Uint8Array(), keep_groups: 0 };
    // In a container, there may be no such id.
    p.op('ids', ids, origin, { unless: ['EINVAL', 'EPERM'] });
  }
  p.op('capabilities', { effective: 0n, permitted: 0n, inheritable: 0n, ambient: 0n }, origin);
  p.op('send_handle', { src: 'mount', tag: tags.mount }, origin);
  // The container is to be the only one that has it: with its last user goes the mount, and with the mount the server.
  p.op('close', { src: 'mount' }, origin);
  if (user !== undefined) p.op('close', { src: user }, origin);
  p.op('no_new_privs', {}, origin);
  p.op('seccomp', { filter: compileSeccomp(profile, { arch: facts.arch }), flags: 0 }, origin);
  p.op('sync', { tag: viewTag }, origin);
  p.op('serve_view', { device: 'device', proc: 'proc', process, cgroup: group, owned: owned ? 1 : 0 }, origin);
  p.op('halt', {}, origin);
  return p.segment();
}
