export { capabilityBit, capabilityHint, capabilityMask, capabilityName, capabilityNames } from './capabilities.ts';
export { didYouMean, nearest } from './nearest.ts';
export { signalName, signalNames, signalNumber } from './signals.ts';

/** The most that one directory of the state tree can be called. */
export const idMax = 255;

/** Whether this can be a container's id: runc's letters, and a file name other than `.` and `..`. */
export function isContainerId(id: string): boolean {
  return /^[A-Za-z0-9_+.-]+$/.test(id) && id.length <= idMax && id !== '.' && id !== '..';
}

/** Why a string is no container id, as the end of a sentence; undefined when it is one. */
export function containerIdFault(id: string): string | undefined {
  if (isContainerId(id)) return undefined;
  if (id === '') return 'must not be empty';
  if (id.length > idMax) return `must have at most ${idMax} characters, not ${id.length}`;
  return `must be made of letters, digits, "_", "+", "-" and ".", and not be "." or "..", not ${JSON.stringify(id)}`;
}

/** CLONE_NEW* flag of each namespace type of the OCI specification. */
export const namespaceFlags = {
  mount: 0x0002_0000,
  cgroup: 0x0200_0000,
  uts: 0x0400_0000,
  ipc: 0x0800_0000,
  user: 0x1000_0000,
  pid: 0x2000_0000,
  network: 0x4000_0000,
  time: 0x80,
} as const;

/** A namespace type of the OCI specification. */
export type NamespaceType = keyof typeof namespaceFlags;

/** All eight of them. */
export const namespaceTypes = Object.keys(namespaceFlags) as readonly NamespaceType[];

/** Names below `/proc/PID/ns`, where they differ from the specification's. */
export const namespaceFiles: Readonly<Record<NamespaceType, string>> = {
  mount: 'mnt',
  cgroup: 'cgroup',
  uts: 'uts',
  ipc: 'ipc',
  user: 'user',
  pid: 'pid',
  network: 'net',
  time: 'time',
};

/** Number of each resource limit, as prlimit(2) takes it. */
export const rlimitNumbers: Readonly<Record<string, number>> = {
  RLIMIT_CPU: 0,
  RLIMIT_FSIZE: 1,
  RLIMIT_DATA: 2,
  RLIMIT_STACK: 3,
  RLIMIT_CORE: 4,
  RLIMIT_RSS: 5,
  RLIMIT_NPROC: 6,
  RLIMIT_NOFILE: 7,
  RLIMIT_MEMLOCK: 8,
  RLIMIT_AS: 9,
  RLIMIT_LOCKS: 10,
  RLIMIT_SIGPENDING: 11,
  RLIMIT_MSGQUEUE: 12,
  RLIMIT_NICE: 13,
  RLIMIT_RTPRIO: 14,
  RLIMIT_RTTIME: 15,
};

/** The names of all resource limits, in the order of their numbers. */
export const rlimitNames: readonly string[] = Object.keys(rlimitNumbers);

/** The scheduling policies, in the order of their numbers (sched_setattr(2)). */
export const schedulerPolicies: readonly string[] = [
  'SCHED_OTHER',
  'SCHED_FIFO',
  'SCHED_RR',
  'SCHED_BATCH',
  'SCHED_ISO',
  'SCHED_IDLE',
  'SCHED_DEADLINE',
];

/** Name of a resource limit's number. */
export function rlimitName(number: number): string | undefined {
  return rlimitNames[number];
}
