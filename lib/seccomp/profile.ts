/** A 64-bit integer of a profile. A number must be exact: from 2^53 on it has to be a bigint. */
export type Wide = number | bigint;

/**
 * What each action returns to the kernel, and the most that its `errnoRet` may be where it takes one: the kernel caps
 * an errno at 4095, a tracer gets all 16 bits.
 */
export const actions = {
  SCMP_ACT_KILL: { value: 0x00000000 },
  SCMP_ACT_KILL_THREAD: { value: 0x00000000 },
  SCMP_ACT_KILL_PROCESS: { value: 0x80000000 },
  SCMP_ACT_TRAP: { value: 0x00030000 },
  SCMP_ACT_ERRNO: { value: 0x00050000, dataMax: 4095 },
  SCMP_ACT_NOTIFY: { value: 0x7fc00000 },
  SCMP_ACT_TRACE: { value: 0x7ff00000, dataMax: 0xffff },
  SCMP_ACT_LOG: { value: 0x7ffc0000 },
  SCMP_ACT_ALLOW: { value: 0x7fff0000 },
} as const satisfies Record<string, { readonly value: number; readonly dataMax?: number }>;

/** What happens to a system call; KILL is the old name of KILL_THREAD. */
export type Action = keyof typeof actions;

/** How a condition compares an argument with `value`; MASKED_EQ has the mask in `value` and compares with `valueTwo`. */
export const operators = [
  'SCMP_CMP_NE',
  'SCMP_CMP_LT',
  'SCMP_CMP_LE',
  'SCMP_CMP_EQ',
  'SCMP_CMP_GE',
  'SCMP_CMP_GT',
  'SCMP_CMP_MASKED_EQ',
] as const;

/** The name of a comparison. */
export type Operator = (typeof operators)[number];

/** Every architecture of the OCI specification, so that a profile which lists those of other machines is accepted. */
export const architectures = [
  'SCMP_ARCH_X86',
  'SCMP_ARCH_X86_64',
  'SCMP_ARCH_X32',
  'SCMP_ARCH_ARM',
  'SCMP_ARCH_AARCH64',
  'SCMP_ARCH_MIPS',
  'SCMP_ARCH_MIPS64',
  'SCMP_ARCH_MIPS64N32',
  'SCMP_ARCH_MIPSEL',
  'SCMP_ARCH_MIPSEL64',
  'SCMP_ARCH_MIPSEL64N32',
  'SCMP_ARCH_PPC',
  'SCMP_ARCH_PPC64',
  'SCMP_ARCH_PPC64LE',
  'SCMP_ARCH_S390',
  'SCMP_ARCH_S390X',
  'SCMP_ARCH_PARISC',
  'SCMP_ARCH_PARISC64',
  'SCMP_ARCH_RISCV64',
  'SCMP_ARCH_LOONGARCH64',
  'SCMP_ARCH_M68K',
  'SCMP_ARCH_SH',
  'SCMP_ARCH_SHEB',
] as const;

/** The name of an architecture, x32 being one of its own. */
export type Architecture = (typeof architectures)[number];

/** The flags a profile may name, as seccomp(2) numbers them. */
export const flags = {
  SECCOMP_FILTER_FLAG_TSYNC: 0x01,
  SECCOMP_FILTER_FLAG_LOG: 0x02,
  SECCOMP_FILTER_FLAG_SPEC_ALLOW: 0x04,
  SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV: 0x20,
} as const;

/** The name of a flag. */
export type Flag = keyof typeof flags;

/** A condition on one argument of a system call. */
export interface Condition {
  /** Which argument, 0 to 5. */
  readonly index: number;
  readonly value: Wide;
  readonly valueTwo?: Wide | undefined;
  readonly op: Operator;
}

/** What happens to some system calls: always, or when every one of `args` holds. */
export interface Rule {
  readonly names: readonly string[];
  readonly action: Action;
  readonly errnoRet?: number | undefined;
  readonly args?: readonly Condition[] | undefined;
}

/** `linux.seccomp` of the OCI runtime specification 1.3. */
export interface SeccompProfile {
  readonly defaultAction: Action;
  readonly defaultErrnoRet?: number | undefined;
  readonly architectures?: readonly Architecture[] | undefined;
  readonly flags?: readonly Flag[] | undefined;
  readonly listenerPath?: string | undefined;
  readonly listenerMetadata?: string | undefined;
  readonly syscalls?: readonly Rule[] | undefined;
}

/** What a profile has for a call whatever its arguments are; undefined where these decide. */
export function actionOn({ defaultAction, syscalls = [] }: SeccompProfile, call: string): Action | undefined {
  // Rules that do what the default does are none.
  const rules = syscalls.filter(({ names, action }) => names.includes(call) && action !== defaultAction);
  if (rules.length === 0) return defaultAction;
  return rules.find(({ args = [] }) => args.length === 0)?.action;
}

const newListener = 0x08;
const tsyncEsrch = 0x10;

/** Whether somebody must answer for the profile. */
export function notifies(profile: SeccompProfile): boolean {
  return (profile.syscalls ?? []).some((rule) => rule.action === 'SCMP_ACT_NOTIFY');
}

/** Whether installing the profile's filter gives a listener: also one that is only told of a container, at its path. */
export function hasListener(profile: SeccompProfile): boolean {
  return notifies(profile) || (profile.listenerPath ?? '').startsWith('/');
}

/**
 * The flags to install the profile's filter with, as seccomp(2) takes them; of a profile that `checkProfile` accepts.
 * A profile without `flags` (not an empty list) gets SPEC_ALLOW, as runc gives it: without, older kernels slow every
 * filtered process down by a mitigation of speculative store bypass.
 */
export function seccompFlags(profile: SeccompProfile): number {
  let bits = 0;
  for (const flag of profile.flags ?? ['SECCOMP_FILTER_FLAG_SPEC_ALLOW']) bits |= flags[flag];
  // The kernel refuses WAIT_KILLABLE_RECV without a listener, and TSYNC with one unless TSYNC_ESRCH says where an
  // error goes (both would come back in the same return value).
  if (!hasListener(profile)) return bits & ~flags.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
  if ((bits & flags.SECCOMP_FILTER_FLAG_TSYNC) !== 0) bits |= tsyncEsrch;
  return bits | newListener;
}
