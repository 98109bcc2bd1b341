import type { Builder } from '../program/builder.ts';
import { encodeUtf8 } from '../program/utf8.ts';

export interface Labels {
  readonly apparmorProfile?: string | undefined;
  readonly selinuxLabel?: string | undefined;
}

const isGiven = (label: string | undefined): label is string => label !== undefined && label !== '';

/** What the security modules make of the command at its exec: through a procfs of our own (CVE-2019-16884). */
export function setLabels(ops: Builder, proc: () => string, { apparmorProfile, selinuxLabel }: Labels): void {
  if (isGiven(apparmorProfile)) setProfile(ops, proc(), apparmorProfile);
  if (!isGiven(selinuxLabel)) return;
  const origin = '/process/selinuxLabel';
  const write = (path: string) => ops.op('write', { root: proc(), path, content: encodeUtf8(selinuxLabel) }, origin);
  write('self/attr/exec');
  // The keyring that we are about to make belongs to the command; the exec forgets about it.
  write('self/attr/keycreate');
}

/**
 * The file of AppArmor's own, or on older kernels the one that it shares. ENOENT comes from both where there is no such
 * profile, EINVAL from the second where there is no AppArmor.
 */
function setProfile(ops: Builder, root: string, profile: string): void {
  const origin = '/process/apparmorProfile';
  const content = encodeUtf8(`exec ${profile}`);
  const own = { root, path: 'self/attr/apparmor/exec', content };
  const shared = { root, path: 'self/attr/exec', content };
  // To be freed of a profile that is not there, or that does not let us go, is no more than is had already.
  const free = profile === 'unconfined' ? { unless: ['ENOENT', 'EINVAL', 'EACCES', 'EPERM'] } : {};
  ops.op('write', own, origin, { unless: ['ENOENT'], skip: 1 });
  ops.op('write', shared, origin, free);
}
