import type { Builder } from '../program/builder.ts';
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
  readonly umask: number;
  readonly deathSignal: number | undefined;
  readonly filter: { readonly filter: Uint8Array; readonly flags: number } | undefined;
}

/**
 * The last ops, in the order that the kernel's rules force:
 * - with no_new_privs anybody may install a filter, so it comes last, and needs to allow nothing but the exec;
 * - without, a filter takes CAP_SYS_ADMIN, so it comes before ids and capabilities go, and must allow their calls;
 * - the bounding set is reduced while there is CAP_SETPCAP; groups before ids, ids before capabilities;
 * - a change of ids forgets the death signal.
 */
export function execute(ops: Builder, execution: Execution): void {
  const { files, argv, env, noNewPrivileges, sets, identity, deathSignal, filter } = execution;
  const { effective, permitted, inheritable, ambient } = sets;
  const { uid, gid, groups, keepGroups } = identity;
  const seccomp = () => {
    if (filter !== undefined) ops.op('seccomp', filter, '/linux/seccomp');
  };

  ops.op('close_from', { fd: 3 }, 'default: descriptors');
  ops.op('umask', { mask: execution.umask }, '/process/user/umask');
  if (noNewPrivileges) ops.op('no_new_privs', {}, '/process/noNewPrivileges');
  ops.op('bounding', { capabilities: sets.bounding }, '/process/capabilities/bounding');
  if (!noNewPrivileges) seccomp();
  ops.op('ids', { uid, gid, groups, keep_groups: keepGroups ? 1 : 0 }, '/process/user');
  ops.op('capabilities', { effective, permitted, inheritable, ambient }, '/process/capabilities');
  if (deathSignal !== undefined) ops.op('death_signal', { signal: deathSignal }, 'default: death signal');
  if (noNewPrivileges) seccomp();
  ops.op('exec', { files, argv, env }, '/process/args');
}
