import { capabilityMask } from '../spec/names.ts';
import type { Capabilities } from '../spec/types.ts';

/** The capability sets of the command as bits: what is not listed is not there. */
export interface CapabilitySets {
  readonly bounding: bigint;
  readonly effective: bigint;
  readonly permitted: bigint;
  readonly inheritable: bigint;
  readonly ambient: bigint;
}

/**
 * Without a list, a set is empty: inheritable and ambient ones above all (CVE-2022-24769). What is asked to be ambient and
 * is not both permitted and inheritable cannot be (capabilities(7)), and is left away: `runc spec` writes such sets.
 */
export function capabilitySets(asked: Capabilities = {}): CapabilitySets {
  const permitted = capabilityMask(asked.permitted ?? []);
  const inheritable = capabilityMask(asked.inheritable ?? []);
  return {
    bounding: capabilityMask(asked.bounding ?? []),
    effective: capabilityMask(asked.effective ?? []),
    permitted,
    inheritable,
    ambient: capabilityMask(asked.ambient ?? []) & permitted & inheritable,
  };
}

/** The one capability that process 1 keeps: to pass signals on to a command of another user. */
export const reaperCapabilities = capabilityMask(['CAP_KILL']);
