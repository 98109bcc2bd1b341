import type { Architecture } from './profile.ts';
import type { Abi } from './syscalls.ts';

/** The machines we run on, as `process.arch` names them. */
export type NativeArch = 'x64' | 'arm64';

/** The bit that a number carries when an x86_64 process calls by the x32 table. */
export const x32Bit = 0x40000000;

/** How the calls of one ABI look to a filter. */
export interface Calls {
  readonly abi: Abi;
  /** What `seccomp_data.arch` holds, an AUDIT_ARCH number; x32 shares x86_64's. */
  readonly audit: number;
  /** What is added to a number of the table. */
  readonly base: number;
  /**
   * Whether conditions look at all 64 bits of an argument. Where registers hold 32 bits they look at the low half of
   * argument and value alike, so that a profile's `-1` written in 64 bits works; as libseccomp, for x32 too.
   */
  readonly wide: boolean;
}

/** How to tell each ABI's calls. */
export const callsOf: Record<Abi, Calls> = {
  x64: { abi: 'x64', audit: 0xc000003e, base: 0, wide: true },
  x32: { abi: 'x32', audit: 0xc000003e, base: x32Bit, wide: false },
  x86: { abi: 'x86', audit: 0x40000003, base: 0, wide: false },
  arm64: { abi: 'arm64', audit: 0xc00000b7, base: 0, wide: true },
  arm: { abi: 'arm', audit: 0x40000028, base: 0, wide: false },
};

/** The ABIs that a machine's kernel may accept besides its own, by the profile's name for each. */
const companions: Record<NativeArch, Partial<Record<Architecture, Abi>>> = {
  x64: { SCMP_ARCH_X86: 'x86', SCMP_ARCH_X32: 'x32' },
  arm64: { SCMP_ARCH_ARM: 'arm' },
};

/**
 * The ABIs that a profile for these architectures speaks of on this machine. The machine's own is always among them,
 * listed or not (as with libseccomp), and those of other machines are left out: no call of theirs can arrive.
 */
export function abisOf(architectures: readonly Architecture[], native: NativeArch): Abi[] {
  const abis: Abi[] = [native];
  for (const architecture of architectures) {
    const abi = companions[native][architecture];
    if (abi !== undefined && !abis.includes(abi)) abis.push(abi);
  }
  return abis;
}
