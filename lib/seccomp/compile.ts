import { RuntsError, specError } from '../errors.ts';
import { abisOf, type Calls, callsOf, type NativeArch, x32Bit } from './arch.ts';
import { type Alternative, decide } from './arguments.ts';
import { assemble, branch, instructionsMax, load, type Node, offsets, returns } from './bpf.ts';
import { multiplexed } from './multiplexed.ts';
import { type Action, actions, type Condition, type Rule, type SeccompProfile } from './profile.ts';
import { type Range, search } from './ranges.ts';
import { syscallNumbers } from './syscalls.ts';
import { profileIssues } from './validate.ts';

const EPERM = 1;
const ENOSYS = 38;

/** What the kernel is told for a call of an ABI that the profile does not speak of. */
const unknownAbi = actions.SCMP_ACT_KILL_PROCESS.value;

/** Defaults under which a call that is newer than the profile is let through or watched, as runc has them. */
const permissive: readonly Action[] = ['SCMP_ACT_ALLOW', 'SCMP_ACT_LOG', 'SCMP_ACT_TRACE'];

/**
 * Compiles a profile to the classic BPF that seccomp(2) takes, for this machine's ABI and those of the profile's
 * architectures. What libseccomp and runc leave one guessing about:
 * - a rule that does what the default does anyway is skipped, and so is a name that an ABI does not have;
 * - of a call's rules, the first without `args` decides; only if there is none, those with `args`, in their order;
 * - the conditions of a rule must all hold, except that one which names an argument twice is a rule per condition;
 * - unless the default is permissive, calls newer than any that the profile names get ENOSYS, so that programs which
 *   try a new call first fall back to the old one.
 */
export function compileSeccomp(profile: SeccompProfile, options: { readonly arch: NativeArch }): Uint8Array {
  const issues = profileIssues(profile);
  if (issues.length > 0) throw specError('cannot compile the seccomp profile', issues);
  const all = abisOf(profile.architectures ?? [], options.arch).map((abi) => callsOf[abi]);
  const audits = new Set(all.map((calls) => calls.audit));
  let node: Node = returns(unknownAbi);
  // Inside out: this machine's own, the first, is asked about first.
  for (const audit of [...audits].reverse()) {
    const sharing = all.filter((calls) => calls.audit === audit);
    node = branch('eq', audit, load(offsets.number, searchNumbers(profile, sharing)), node);
  }
  return withinLimit(assemble(load(offsets.arch, node)));
}

function withinLimit(filter: Uint8Array): Uint8Array {
  if (filter.length <= instructionsMax * 8) return filter;
  throw tooLarge(`compiles to ${filter.length / 8} instructions`);
}

function tooLarge(what: string): RuntsError {
  const message = `${what}; the kernel takes ${instructionsMax} at most`;
  return new RuntsError('ERR_SPEC', `cannot compile the seccomp profile: it ${message}`, {
    origin: '/linux/seccomp/syscalls',
    issues: [{ path: '/linux/seccomp/syscalls', message }],
    hint: 'Merge rules: a list of names without args costs little, a list of conditions much.',
  });
}

/** What happens to one system call: a return value, or a decision by its arguments. */
type Outcome = number | Decision;

interface Decision {
  readonly alternatives: readonly Alternative[];
  readonly otherwise: number;
  readonly wide: boolean;
}

function searchNumbers(profile: SeccompProfile, sharing: readonly Calls[]): Node {
  const ranges = sharing.flatMap((calls) => rangesOf(profile, calls));
  if (sharing.length === 1 && sharing[0]!.abi === 'x64') ranges.push(...x32Refused(profile));
  return search(ranges, (outcome) => {
    if (typeof outcome === 'number') return returns(outcome);
    const { alternatives, otherwise, wide } = outcome;
    if (alternatives.length > instructionsMax) throw tooLarge(`has ${alternatives.length} conditions on one call`);
    return decide(alternatives, otherwise, wide);
  });
}

/**
 * Without these the x32 table would be a second door to x86_64's calls. The number -1 is not one of x32's: it is what
 * the filter is shown of a call that a tracer has cancelled.
 */
function x32Refused(profile: SeccompProfile): Range<Outcome>[] {
  const otherwise = encodeAction(profile.defaultAction, profile.defaultErrnoRet);
  return [
    { from: x32Bit, value: unknownAbi, weight: 0 },
    { from: 0xffffffff, value: otherwise, weight: 0 },
  ];
}

/** Numbers from here on are ARM's private calls, which say nothing about how new a profile is. */
const armPrivate = 0x0f0000;

/** The outcomes of an ABI's calls, as ranges of what `seccomp_data.nr` holds. */
function rangesOf(profile: SeccompProfile, calls: Calls): Range<Outcome>[] {
  const { rules, newest } = rulesByNumber(profile, calls);
  const otherwise = encodeAction(profile.defaultAction, profile.defaultErrnoRet);
  const known = permissive.includes(profile.defaultAction) || newest === 0;
  const beyond = known ? otherwise : encodeAction('SCMP_ACT_ERRNO', ENOSYS);
  const ranges: Grown[] = [];
  let next = 0;
  for (const number of Uint32Array.from(rules.keys()).sort()) {
    grow(ranges, calls, next, Math.min(number, newest + 1), otherwise);
    grow(ranges, calls, Math.max(next, newest + 1), number, beyond);
    const value = number <= newest ? otherwise : beyond;
    const rule = rules.get(number)!;
    const outcome = typeof rule === 'number' ? rule : { alternatives: rule, otherwise: value, wide: calls.wide };
    grow(ranges, calls, number, number + 1, outcome);
    next = number + 1;
  }
  grow(ranges, calls, next, newest + 1, otherwise);
  grow(ranges, calls, Math.max(next, newest + 1), x32Bit, beyond);
  return ranges;
}

interface Grown {
  readonly from: number;
  readonly value: Outcome;
  weight: number;
}

/** Adds the numbers from `from` up to `end`, if that is any, to the last range or as a new one. */
function grow(ranges: Grown[], calls: Calls, from: number, end: number, value: Outcome): void {
  if (from >= end) return;
  const last = ranges[ranges.length - 1];
  const weight = weightOf(from, end, calls);
  if (last !== undefined && last.value === value) last.weight += weight;
  else ranges.push({ from: calls.base + from, value, weight });
}

/**
 * How many of the kernel's numbers a range holds. When a filter is installed, the kernel tries each of its numbers on
 * it to learn which need no filter at all (seccomp_is_const_allow), and that is most of what a filter costs: so the
 * search is balanced by numbers. It does not try x32's, and those beyond the table only a faulty program uses; they
 * weigh just enough to be balanced among themselves.
 */
function weightOf(from: number, end: number, calls: Calls): number {
  const tried = calls.abi === 'x32' ? 0 : Math.min(end, syscallsMax) - Math.min(from, syscallsMax);
  return tried + 1 / 64;
}

const syscallsMax = 512;

function encodeAction(action: Action, errno = EPERM): number {
  const takesErrno = 'dataMax' in actions[action];
  return (takesErrno ? actions[action].value | errno : actions[action].value) >>> 0;
}

/** What a profile says about its calls, by number: always the same, or by their arguments. */
type NumberedRules = Map<number, number | Alternative[]>;

interface RulesOfAbi {
  readonly rules: NumberedRules;
  /** The highest number that the profile names, whatever it says about it; 0 if none. */
  readonly newest: number;
}

function rulesByNumber(profile: SeccompProfile, calls: Calls): RulesOfAbi {
  const numbers = syscallNumbers(calls.abi);
  const otherwise = encodeAction(profile.defaultAction, profile.defaultErrnoRet);
  const rules: NumberedRules = new Map();
  let newest = 0;
  for (const rule of profile.syscalls ?? []) {
    const value = encodeAction(rule.action, rule.errnoRet);
    const alternatives = alternativesOf(rule, value);
    for (const name of rule.names) {
      const number = numbers.get(name);
      if (number !== undefined && number < armPrivate && number > newest) newest = number;
      if (value === otherwise) continue;
      if (number !== undefined) addRule(rules, number, value, alternatives);
      if (calls.abi === 'x86') addMultiplexed(rules, name, value, rule);
    }
  }
  return { rules, newest };
}

function addRule(rules: NumberedRules, number: number, value: number, alternatives: readonly Alternative[]): void {
  const known = rules.get(number);
  if (typeof known === 'number') return;
  if (alternatives.length === 0) rules.set(number, value);
  else if (known === undefined) rules.set(number, [...alternatives]);
  else for (const alternative of alternatives) known.push(alternative);
}

/** The ways in which a rule's conditions can hold; none if it has no conditions. */
function alternativesOf({ args = [] }: Rule, value: number): Alternative[] {
  if (args.length === 0) return [];
  const named = new Set(args.map((condition) => condition.index));
  if (named.size === args.length) return [{ conditions: args, value }];
  return args.map((condition) => ({ conditions: [condition], value }));
}

/**
 * On i386 a rule about `socket` is also one about `socketcall(SYS_SOCKET, …)`, which does the same. The arguments are
 * then behind a pointer, where no filter sees them: a rule that lets a call through for some arguments only does not
 * let it through there (libseccomp does), and one that forbids it for some forbids it there altogether.
 */
function addMultiplexed(rules: NumberedRules, name: string, value: number, rule: Rule): void {
  const through = multiplexed(name);
  if (through === undefined) return;
  const lets = rule.action === 'SCMP_ACT_ALLOW' || rule.action === 'SCMP_ACT_LOG';
  if (lets && (rule.args ?? []).length > 0) return;
  const conditions: Condition[] = [{ index: 0, op: 'SCMP_CMP_EQ', value: through.call }];
  addRule(rules, through.number, value, [{ conditions, value }]);
}
