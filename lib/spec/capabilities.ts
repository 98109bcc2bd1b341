import { didYouMean } from './nearest.ts';

/** Every capability of Linux, in the order of its bit: linux/capability.h. Append only. */
export const capabilityNames: readonly string[] = `
  CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE
  NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO
  SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG
  MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM
  BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE
`
  .trim()
  .split(/\s+/)
  .map((word) => `CAP_${word}`);

const bits = new Map(capabilityNames.map((name, bit) => [name, bit]));

/** Bit of a capability, by its full name (`CAP_CHOWN`); undefined for one that this version does not know. */
export function capabilityBit(name: string): number | undefined {
  return bits.get(name);
}

/** Name of the capability of this bit; undefined beyond the last. */
export function capabilityName(bit: number): string | undefined {
  return capabilityNames[bit];
}

/** The bits of a set as one 64-bit number, as capset(2) takes it. Names that are not known count for nothing. */
export function capabilityMask(names: readonly string[]): bigint {
  let mask = 0n;
  for (const name of names) {
    const bit = bits.get(name);
    if (bit !== undefined) mask |= 1n << BigInt(bit);
  }
  return mask;
}

/** `; did you mean "CAP_CHOWN"?`, also for `chown`; nothing where no name is near. */
export function capabilityHint(name: string): string {
  const full = name.slice(0, 4).toUpperCase() === 'CAP_' ? name : `CAP_${name}`;
  return didYouMean(full, capabilityNames);
}
