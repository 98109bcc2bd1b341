import { compileSeccomp } from '../seccomp/compile.ts';
import { type SeccompProfile, seccompFlags } from '../seccomp/profile.ts';
import type { SeccompProfile as AnyProfile } from '../spec/types.ts';

export interface Filter {
  readonly filter: Uint8Array;
  readonly flags: number;
}

/** Filters by the text of their profile: most containers of a program have the same one, in copies. */
const compiled = new Map<string, Filter>();
const compiledMax = 16;

/** The filter of a profile; compiling it again is spared while it is among the last ones. */
export function seccompFilter(profile: AnyProfile | undefined, arch: 'x64' | 'arm64'): Filter | undefined {
  if (profile === undefined) return undefined;
  const key = arch + textOf(profile);
  const known = compiled.get(key);
  if (known !== undefined) return known;
  // What the fields mean is checked by the compiler of profiles, which refuses what it does not know.
  const exact = profile as unknown as SeccompProfile;
  const filter = { filter: compileSeccomp(exact, { arch }), flags: seccompFlags(exact) };
  if (compiled.size >= compiledMax) compiled.delete([...compiled.keys()][0] as string);
  compiled.set(key, filter);
  return filter;
}

/** Without a replacer where it can be, since that is six times as fast; JSON has no word for the large numbers. */
function textOf(profile: AnyProfile): string {
  try {
    return JSON.stringify(profile);
  } catch {
    return JSON.stringify(profile, (_, value) => (typeof value === 'bigint' ? `${value}n` : value));
  }
}
