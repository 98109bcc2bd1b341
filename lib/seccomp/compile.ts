import { RuntsError, specError } from '../errors.ts';
import { abisOf, type Calls, callsOf, type NativeArch, x32Bit } from './arch.ts';
import { type Alternative, decide } from './arguments.ts';
import { loadWithBit, withBitmaps } from './bitmaps.ts';
import { alike, and, assemble, branch, instructionsMax, load, type Node, offsets, returns } from './bpf.ts';
import { multiplexed } from './multiplexed.ts';
import { type Action, actions, type Condition, type Rule, type SeccompProfile } from './profile.ts';
import { type Range, search } from './ranges.ts';
import { type Abi, syscallNumbers } from './syscalls.ts';
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
    const numbers = audit === all[0]!.audit ? searchNumbers(profile, sharing) : searchUntried(profile, sharing[0]!);
    node = branch('eq', audit, numbers, node);
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

/**
 * Decides the calls of an ABI that is not this machine's own, and in a way that makes the kernel try none of its numbers
 * (see `weightOf`): it ends where a register is remembered, or where it would have to know an argument. For calls that few
 * programs make this is the better bargain. They take some 30 ns longer each, since the filter is run for them; half of
 * what trying costs is spared for every container.
 */
function searchUntried(profile: SeccompProfile, calls: Calls): Node {
  const ranges = rangesOf(profile, calls);
  const mapped = withBitmaps(ranges, ranges, syscallsMax);
  if (mapped !== undefined) return loadWithBit(search(mapped, itself));
  return load(offsets.argumentLow(0), load(offsets.number, search(ranges, itself)));
}

/** Decides the calls of an ABI, or of x86_64 and x32, which differ by a bit of the number. */
function searchNumbers(profile: SeccompProfile, [own, x32]: readonly Calls[]): Node {
  const ranges = rangesOf(profile, own!);
  if (x32 === undefined) {
    return load(offsets.number, search(own!.abi === 'x64' ? [...ranges, ...x32Refused(profile)] : ranges, itself));
  }
  const node = search(ranges, itself);
  return load(offsets.number, branch('ge', x32.base, searchX32(rangesOf(profile, x32), ranges, node), node));
}

/** Decides the calls of x32, with the help of what searches x86_64's ranges. No number of x32's is ever tried. */
function searchX32(ranges: readonly Range<Node>[], others: readonly Range<Node>[], other: Node): Node {
  const common = inCommon(ranges, others, other);
  const withoutBit = (next: Node) => and(~x32Bit >>> 0, next);
  const mapped = withBitmaps(common, ranges, syscallsMax);
  if (mapped === undefined) return withoutBit(search(common, itself));
  return loadWithBit(withoutBit(search(mapped, itself)));
}

const itself = (node: Node) => node;

/** The ranges, with `search`, which is that over `others`, wherever both decide alike. */
function inCommon(ranges: readonly Range<Node>[], others: readonly Range<Node>[], search: Node): Range<Node>[] {
  const result: Grown[] = [];
  let i = 0;
  let j = 0;
  for (let from = 0; from < numbersEnd; ) {
    const own = ranges[i + 1]?.from ?? numbersEnd;
    const other = others[j + 1]?.from ?? numbersEnd;
    const node = ranges[i]!.value;
    from = grow(result, from, Math.min(own, other), alike(node, others[j]!.value) ? search : node);
    if (from === own) i++;
    if (from === other) j++;
  }
  return result;
}

/**
 * Without these the x32 table would be a second door to x86_64's calls. The number -1 is not one of x32's: it is what
 * the filter is shown of a call that a tracer has cancelled.
 */
function x32Refused(profile: SeccompProfile): Range<Node>[] {
  return [
    { from: x32Bit, value: returns(unknownAbi), weight: 0 },
    { from: 0xffffffff, value: returns(defaultValue(profile)), weight: 0 },
  ];
}

/** No ABI has numbers from here on, but for the bit of x32. */
const numbersEnd = x32Bit;

/** Numbers from here on are ARM's private calls, which say nothing about how new a profile is. */
const armPrivate = 0x0f0000;

/** What is done for an ABI's calls, as ranges of their numbers. */
function rangesOf(profile: SeccompProfile, { abi, wide }: Calls): Range<Node>[] {
  const { rules, newest } = rulesByNumber(profile, abi);
  const otherwise = defaultValue(profile);
  const known = permissive.includes(profile.defaultAction) || newest === 0;
  const beyond = known ? otherwise : encodeAction('SCMP_ACT_ERRNO', ENOSYS);
  const ranges: Grown[] = [];
  const fill = (from: number, end: number) => {
    const newer = grow(ranges, from, Math.min(end, newest + 1), returns(otherwise));
    grow(ranges, newer, end, returns(beyond));
  };
  let next = 0;
  for (const number of Uint32Array.from(rules.keys()).sort()) {
    fill(next, number);
    const rule = rules.get(number)!;
    const node =
      typeof rule === 'number' ? returns(rule) : decideCall(rule, number <= newest ? otherwise : beyond, wide);
    next = grow(ranges, number, number + 1, node);
  }
  fill(next, numbersEnd);
  return ranges;
}

function decideCall(alternatives: readonly Alternative[], otherwise: number, wide: boolean): Node {
  if (alternatives.length > instructionsMax) throw tooLarge(`has ${alternatives.length} conditions on one call`);
  return decide(alternatives, otherwise, wide);
}

interface Grown {
  readonly from: number;
  readonly value: Node;
  weight: number;
}

/** Adds the numbers from `from` up to `end`, if that is any, to the last range or as a new one; gives the next number. */
function grow(ranges: Grown[], from: number, end: number, value: Node): number {
  if (from >= end) return from;
  const last = ranges[ranges.length - 1];
  const weight = weightOf(from, end);
  if (last !== undefined && alike(last.value, value)) last.weight += weight;
  else ranges.push({ from, value, weight });
  return end;
}

/**
 * How many of the kernel's numbers a range holds. When a filter is installed, the kernel tries each of its numbers on
 * it to learn which need no filter at all (seccomp_is_const_allow), which is a good part of what a filter costs: so the
 * search is balanced by numbers. Those beyond the table only a faulty program uses; they weigh just enough to be
 * balanced among themselves.
 */
function weightOf(from: number, end: number): number {
  return Math.min(end, syscallsMax) - Math.min(from, syscallsMax) + 1 / 64;
}

const syscallsMax = 512;

function defaultValue({ defaultAction, defaultErrnoRet }: SeccompProfile): number {
  return encodeAction(defaultAction, defaultErrnoRet);
}

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

function rulesByNumber(profile: SeccompProfile, abi: Abi): RulesOfAbi {
  const numbers = syscallNumbers(abi);
  const otherwise = defaultValue(profile);
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
      if (abi === 'x86') addMultiplexed(rules, name, value, rule);
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
