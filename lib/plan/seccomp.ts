import { RuntsError } from '../errors.ts';
import type { Filter } from '../process/exec.ts';
import { compileSeccomp } from '../seccomp/compile.ts';
import { type Action, actionOn, hasListener, type SeccompProfile, seccompFlags } from '../seccomp/profile.ts';
import { isConstant } from '../spec/constant.ts';
import { Recent } from '../spec/recent.ts';
import type { SeccompProfile as AnyProfile } from '../spec/types.ts';
import { tags } from './plan.ts';

/** Filters by the text of their profile: most containers of a program have the same one, in copies. */
const compiled = new Recent<Filter>(16);
/** Those of constants are known without their text, which is as long as all system calls have names. */
const compiledConstants = { x64: new WeakMap<AnyProfile, Filter>(), arm64: new WeakMap<AnyProfile, Filter>() };

/** The filter of a profile; compiling it again is spared while it is among the last ones. */
export function seccompFilter(profile: AnyProfile | undefined, arch: 'x64' | 'arm64'): Filter | undefined {
  if (profile === undefined) return undefined;
  if (!isConstant(profile)) return filterByText(profile, arch);
  const known = compiledConstants[arch].get(profile);
  if (known !== undefined) return known;
  const filter = filterByText(profile, arch);
  compiledConstants[arch].set(profile, filter);
  return filter;
}

const filterByText = (profile: AnyProfile, arch: 'x64' | 'arm64'): Filter =>
  compiled.get(arch + textOf(profile), () => {
    // What the fields mean is checked by the compiler of profiles, which refuses what it does not know.
    const exact = profile as unknown as SeccompProfile;
    const notify = hasListener(exact) ? tags.notify : undefined;
    if (notify !== undefined) checkListenerPath(exact);
    checkExecutes(exact);
    return { filter: compileSeccomp(exact, { arch }), flags: seccompFlags(exact), notify };
  });

/** Without somebody who answers, every call that the profile notifies of would wait for ever. */
function checkListenerPath({ listenerPath = '' }: SeccompProfile): void {
  if (listenerPath.startsWith('/')) return;
  const origin = '/linux/seccomp/listenerPath';
  const message = 'must be the absolute path of a socket where somebody answers, for a profile with SCMP_ACT_NOTIFY';
  throw new RuntsError('ERR_SPEC', `cannot install the seccomp profile: listenerPath ${message}`, {
    origin,
    issues: [{ path: origin, message }],
  });
}

/**
 * The filter is the last thing before the command: one that does not let it be executed kills the container before it is
 * one, and whoever starts it could not tell that from a command that ended.
 */
function checkExecutes(profile: SeccompProfile): void {
  const action = actionOn(profile, 'execve');
  if (action === undefined || goesOn.includes(action)) return;
  const origin = '/linux/seccomp';
  const message = `the command could not be executed: the profile has ${action} for execve`;
  throw new RuntsError('ERR_SPEC', `cannot install the seccomp profile: ${message}`, {
    origin,
    issues: [{ path: origin, message }],
    hint: 'Let the profile allow execve, and what else the command needs to begin.',
  });
}

/** What a call may meet and still be made: a tracer, which nobody is, would have to let it. */
const goesOn: readonly Action[] = ['SCMP_ACT_ALLOW', 'SCMP_ACT_LOG', 'SCMP_ACT_NOTIFY'];

/** Without a replacer where it can be, since that is six times as fast; JSON has no word for the large numbers. */
function textOf(profile: AnyProfile): string {
  try {
    return JSON.stringify(profile);
  } catch {
    return JSON.stringify(profile, (_, value) => (typeof value === 'bigint' ? `${value}n` : value));
  }
}
