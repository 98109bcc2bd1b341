import { type Issue, RuntsError, specError } from '../errors.ts';
import { checkSpec } from '../spec/check.ts';
import { capabilityBit, capabilityHint } from '../spec/names.ts';
import { show } from '../spec/shape.ts';
import type { Capabilities, Process, Spec, User } from '../spec/types.ts';
import { idLast, parseId } from '../spec/users.ts';
import { isOn, type Parsed, textOf, textsOf } from './parse.ts';

/**
 * The process that `exec` runs, of the words on the line: the container's own, changed by the options. Everything else
 * that the configuration says of the container's process (confinement above all) holds for this one, too.
 */
export function execProcess(spec: Spec, parsed: Parsed, command: readonly string[]): Process {
  const base = spec.process;
  if (base === undefined) {
    throw new RuntsError('ERR_SPEC', 'the configuration of this container has no process to begin with', {
      hint: 'Give all of it with --process FILE.',
    });
  }
  const issues: Issue[] = [];
  const process: Process = {
    ...base,
    args: command,
    env: [...(base.env ?? []), ...textsOf(parsed, 'env')],
    cwd: textOf(parsed, 'cwd') || base.cwd,
    user: user(base.user, parsed, issues),
    terminal: isOn(parsed, 'tty'),
    consoleSize: consoleSize(parsed, issues),
    noNewPrivileges: isOn(parsed, 'noNewPrivs') || base.noNewPrivileges,
    apparmorProfile: textOf(parsed, 'apparmor') || base.apparmorProfile,
    selinuxLabel: textOf(parsed, 'processLabel') || base.selinuxLabel,
    capabilities: capabilities(base.capabilities, textsOf(parsed, 'cap'), issues),
  };
  if (issues.length > 0) throw specError('invalid options', issues);
  return checkedProcess(spec, process, 'cannot run this in the container');
}

/** A process from outside, held to what holds for that of a configuration. */
export function checkedProcess(spec: Spec, process: unknown, what: string): Process {
  const checked = checkSpec({ ...spec, process });
  if (checked.issues !== undefined) throw specError(what, checked.issues);
  if (checked.spec.process === undefined) throw specError(what, [{ path: '/process', message: 'must be an object' }]);
  return checked.spec.process;
}

/** Numbers only, and all of the text: `1000 `, `-1` or one above 32 bits would be root to a parser that is generous. */
function user(base: User, parsed: Parsed, issues: Issue[]): User {
  const text = textOf(parsed, 'user');
  const match = text === undefined ? [] : /^([0-9]{1,10})(?::([0-9]{1,10}))?$/.exec(text);
  const [uid, gid] = [parseId(match?.[1]), parseId(match?.[2])];
  if (
    match === null ||
    (match[1] !== undefined && uid === undefined) ||
    (match[2] !== undefined && gid === undefined)
  ) {
    const message = `must be UID or UID:GID, numbers up to ${idLast}, not ${JSON.stringify(text)}`;
    issues.push({ path: '--user', message });
  }
  const more = textsOf(parsed, 'additionalGids').flatMap((word) => {
    const id = parseId(word);
    if (id !== undefined) return [id];
    const message = `must be a number up to ${idLast}, not ${JSON.stringify(word)}`;
    issues.push({ path: '--additional-gids', message });
    return [];
  });
  return {
    ...base,
    ...(uid !== undefined && { uid }),
    ...(gid !== undefined && { gid }),
    ...(more.length > 0 && { additionalGids: [...(base.additionalGids ?? []), ...more] }),
  };
}

function consoleSize(parsed: Parsed, issues: Issue[]): Process['consoleSize'] {
  const text = textOf(parsed, 'consoleSize');
  if (text === undefined) return undefined;
  const match = /^([0-9]{1,5})x([0-9]{1,5})$/.exec(text);
  if (match === null) {
    issues.push({ path: '--console-size', message: `must be WIDTHxHEIGHT, not ${JSON.stringify(text)}` });
    return undefined;
  }
  return { width: Number(match[1]), height: Number(match[2]) };
}

/** As runc has it: into the sets that matter, and raised for an ordinary user where the configuration inherits any. */
function capabilities(
  base: Capabilities | undefined,
  added: readonly string[],
  issues: Issue[],
): Process['capabilities'] {
  if (added.length === 0) return base;
  const names = added.map((word) => {
    const upper = word.toUpperCase();
    const name = upper.startsWith('CAP_') ? upper : `CAP_${upper}`;
    // Unlike a list in a configuration, which may be older or newer than the kernel, it is asked for here and now.
    if (capabilityBit(name) === undefined) {
      issues.push({ path: '--cap', message: `unknown capability ${show(word)}${capabilityHint(name)}` });
    }
    return name;
  });
  const withNames = (set: readonly string[] = []): readonly string[] => [...new Set([...set, ...names])];
  const raised = base?.inheritable !== undefined && base.inheritable.length > 0;
  return {
    ...base,
    bounding: withNames(base?.bounding),
    effective: withNames(base?.effective),
    permitted: withNames(base?.permitted),
    ...(raised && { ambient: withNames(base.ambient) }),
  };
}
