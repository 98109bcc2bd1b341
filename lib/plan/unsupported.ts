import { RuntsError } from '../errors.ts';
import type { SeccompProfile } from '../seccomp/profile.ts';
import { hasListener } from '../seccomp/profile.ts';
import type { Hooks, Spec } from '../spec/types.ts';

interface Row {
  readonly origin: string;
  readonly what: string;
  readonly isAsked: (spec: Spec) => boolean;
}

const hookNames = ['prestart', 'createRuntime', 'createContainer', 'startContainer', 'poststart', 'poststop'] as const;

const isLabel = (value: string | undefined) => value !== undefined && value !== '' && value !== 'unconfined';
const hasKeys = (value: object | undefined) => value !== undefined && Object.keys(value).length > 0;

/** What the configuration knows and this version has no op for. Each row that gets one is deleted. */
const rows: readonly Row[] = [
  { origin: '/process/scheduler', what: 'scheduling policies', isAsked: (s) => s.process?.scheduler !== undefined },
  { origin: '/process/ioPriority', what: 'I/O priorities', isAsked: (s) => s.process?.ioPriority !== undefined },
  { origin: '/process/execCPUAffinity', what: 'CPU affinity', isAsked: (s) => hasKeys(s.process?.execCPUAffinity) },
  {
    origin: '/process/apparmorProfile',
    what: 'AppArmor profiles',
    isAsked: (s) => isLabel(s.process?.apparmorProfile),
  },
  { origin: '/process/selinuxLabel', what: 'SELinux labels', isAsked: (s) => isLabel(s.process?.selinuxLabel) },
  { origin: '/linux/mountLabel', what: 'SELinux labels', isAsked: (s) => isLabel(s.linux.mountLabel) },
  { origin: '/linux/netDevices', what: 'moving network devices', isAsked: (s) => hasKeys(s.linux.netDevices) },
  { origin: '/linux/intelRdt', what: 'Intel RDT', isAsked: (s) => hasKeys(s.linux.intelRdt) },
  { origin: '/linux/memoryPolicy', what: 'memory policies', isAsked: (s) => s.linux.memoryPolicy !== undefined },
  {
    origin: '/linux/personality',
    what: 'another execution domain',
    isAsked: ({ linux: { personality } }) => personality !== undefined && personality.domain !== 'LINUX',
  },
  {
    origin: '/linux/seccomp',
    what: 'seccomp notification',
    isAsked: ({ linux: { seccomp } }) => seccomp !== undefined && hasListener(seccomp as unknown as SeccompProfile),
  },
  ...hookNames.map((name) => ({
    origin: `/hooks/${name}`,
    what: 'hooks',
    isAsked: ({ hooks }: Spec) => ((hooks as Hooks | undefined)?.[name] ?? []).length > 0,
  })),
];

/** Refuses what would otherwise be left out silently. */
export function refuseUnsupported(spec: Spec): void {
  const asked = rows.find((row) => row.isAsked(spec));
  if (asked === undefined) return;
  throw new RuntsError('ERR_UNSUPPORTED', `${asked.what}: not supported yet`, {
    origin: asked.origin,
    hint: 'Leave it away.',
  });
}
