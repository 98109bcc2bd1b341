import type { Builder, Conditions } from '../program/builder.ts';
import type { User } from '../spec/types.ts';
import type { CapabilitySets } from './capabilities.ts';
import type { Identity } from './identity.ts';

/** The command, and everything that bounds it. */
export interface Execution {
  readonly files: readonly string[];
  readonly argv: readonly string[];
  readonly env: readonly string[];
  readonly noNewPrivileges: boolean;
  readonly sets: CapabilitySets;
  readonly identity: Identity;
  /** The user namespace may be one that denies setgroups(2). */
  readonly mayLackSetgroups: boolean;
  readonly umask: number;
  /** The working directory, where the command's user may have to go by itself. */
  readonly cwd: string;
  readonly deathSignal: number | undefined;
  readonly filter: Filter | undefined;
  /** Registers that the command gets as descriptors 3, 4, … */
  readonly descriptors: readonly string[];
  /** For a command that is started later. */
  readonly start?: Start | undefined;
}

/** A seccomp filter, ready to be installed. */
export interface Filter {
  readonly filter: Uint8Array;
  readonly flags: number;
  /** Its notifications go to the host, by a handle with this tag. */
  readonly notify?: number | undefined;
}

export interface Start {
  /** Goes on in the PID namespace of the container, where its processes see us: once there is nothing that they could take. */
  readonly arrive?:
    | {
        readonly fork: () => void;
        readonly filtered: boolean;
        /** Waits before that, where nobody sees it. */
        readonly ahead?: boolean | undefined;
      }
    | undefined;
  /** Says that all is made, and waits, with no more registers open than these and its own. */
  readonly wait: (kept: readonly string[]) => unknown;
  /** The filter lets whoever has it wait, and go on. */
  readonly filtered?: boolean | undefined;
  /** Hooks run as the command's user, and with its capabilities. */
  readonly hooks?: (() => void) | undefined;
  /** What is left for after the start. */
  readonly rest: () => void;
}

/**
 * The last ops, in the order that the kernel's rules force:
 * - with no_new_privs anybody may install a filter, so it comes last, and needs to allow nothing but the exec; unless
 *   there are hooks, which are programs of the container and bound by its filter: then it comes before those, and must allow
 *   what runs them;
 * - without, a filter takes CAP_SYS_ADMIN, so it comes before ids and capabilities go, and must allow their calls; hooks
 *   that are to run as the command's user then run under it. Only for what it takes to be started, that would be too
 *   much: such a command waits before;
 * - the bounding set is reduced while there is CAP_SETPCAP; groups before ids, ids before capabilities;
 * - a change of ids forgets the death signal;
 * - who joins a PID namespace arrives there last, with no right that the command has not: CAP_SYS_PTRACE in the user
 *   namespace that we are in is over us, too, undumpable or not;
 * - descriptors are closed first, unless the start or a hook still needs one.
 */
export function execute(ops: Builder, execution: Execution): void {
  const { files, argv, env, noNewPrivileges, sets, deathSignal, filter, start } = execution;
  const { effective, permitted, inheritable, ambient } = sets;
  const early = filter !== undefined && !noNewPrivileges;

  if (start === undefined) setDescriptors(ops, execution.descriptors);
  ops.op('umask', { mask: execution.umask }, '/process/user/umask');
  if (noNewPrivileges) ops.op('no_new_privs', {}, '/process/noNewPrivileges');
  if (early) startEarly(ops, execution);
  ops.op('bounding', { capabilities: sets.bounding }, '/process/capabilities/bounding');
  if (early) installFilter(ops, filter);
  setIds(ops, execution);
  ops.op('capabilities', { effective, permitted, inheritable, ambient }, '/process/capabilities');
  if (start?.arrive?.ahead !== true) arriveAgain(ops, execution);
  if (deathSignal !== undefined) ops.op('death_signal', { signal: deathSignal }, 'default: death signal');
  if (start?.arrive !== undefined) arriveLast(ops, execution, start, start.arrive);
  else if (early) runLateHooks(ops, execution);
  else startLate(ops, execution);
  ops.op('exec', { files, argv, env }, '/process/args');
}

/** A group that was not asked for may stay where the kernel lets nobody drop one (user_namespaces(7)). */
function setIds(ops: Builder, { identity, mayLackSetgroups }: Execution): void {
  const { uid, gid, groups, keepGroups } = identity;
  const operands = { uid, gid, groups };
  const may = mayLackSetgroups && !keepGroups && groups.length === 0;
  ops.op(
    'ids',
    { ...operands, keep_groups: keepGroups ? 1 : 0 },
    '/process/user',
    may ? { unless: ['EPERM'], skip: 1 } : {},
  );
  if (may) ops.op('ids', { ...operands, keep_groups: 1 }, '/process/user');
}

const arrivesAgain = (uid: number, cwd: string) => uid !== 0 && cwd !== '/';

/** Of the first chdir, with the rights of root: a directory that those do not open, on a network, say, its owner's may. */
export const chdirConditions = ({ uid = 0 }: User, cwd: string): Conditions =>
  arrivesAgain(uid, cwd) ? { unless: ['EACCES'] } : {};

/** The second one, with the rights of the user; which need not suffice where those of root did. */
function arriveAgain(ops: Builder, { identity, cwd }: Execution): void {
  if (arrivesAgain(identity.uid, cwd)) ops.op('chdir_again', { path: cwd }, '/process/cwd');
}

/** A filter is about to come, and what can be done before it is done before it. */
function startEarly(ops: Builder, { start, descriptors }: Execution): void {
  if (start === undefined || start.arrive !== undefined) return;
  start.wait(descriptors);
  if (start.hooks === undefined) setDescriptors(ops, descriptors);
  start.rest();
}

function runLateHooks(ops: Builder, { start, descriptors }: Execution): void {
  if (start?.hooks === undefined) return;
  start.hooks();
  setDescriptors(ops, descriptors);
}

function startLate(ops: Builder, { start, descriptors, filter }: Execution): void {
  if (start === undefined) {
    installFilter(ops, filter);
    return;
  }
  if (start.filtered) installFilter(ops, filter);
  start.wait(descriptors);
  const last = start.hooks === undefined && !start.filtered;
  if (start.hooks !== undefined) installFilter(ops, filter);
  start.hooks?.();
  setDescriptors(ops, descriptors);
  start.rest();
  if (last) installFilter(ops, filter);
}

/** A filter that was not needed before the ids, and lets us arrive, comes before we do. */
function arriveLast(
  ops: Builder,
  execution: Execution,
  start: Start,
  { fork, filtered, ahead }: NonNullable<Start['arrive']>,
) {
  const { descriptors, filter, noNewPrivileges, cwd } = execution;
  if (noNewPrivileges && filtered) installFilter(ops, filter);
  if (ahead) {
    start.wait(descriptors);
    if (cwd !== '/') ops.op('chdir', { path: cwd }, '/process/cwd');
  }
  fork();
  if (!ahead) start.wait(descriptors);
  setDescriptors(ops, descriptors);
  start.rest();
  if (noNewPrivileges && !filtered) installFilter(ops, filter);
}

function setDescriptors(ops: Builder, descriptors: readonly string[]): void {
  if (descriptors.length > 0) ops.op('descriptors', { descriptors }, 'option: preserveFds');
  ops.op('close_from', { fd: 3 + descriptors.length }, 'default: descriptors');
}

function installFilter(ops: Builder, asked: Filter | undefined): void {
  if (asked === undefined) return;
  const { filter, flags, notify } = asked;
  if (notify === undefined) {
    ops.op('seccomp', { filter, flags }, '/linux/seccomp');
    return;
  }
  const dst = ops.register('notify');
  ops.op('listener', { dst, filter, flags }, '/linux/seccomp');
  ops.op('send_handle', { src: dst, tag: notify }, '/linux/seccomp/listenerPath');
}
