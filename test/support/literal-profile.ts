import { callsOf } from '../../lib/seccomp/arch.ts';
import { multiplexed } from '../../lib/seccomp/multiplexed.ts';
import { type Action, actions, type Condition, type Rule, type SeccompProfile } from '../../lib/seccomp/profile.ts';
import { type Abi, syscallNumbers } from '../../lib/seccomp/syscalls.ts';

const ENOSYS = 0x00050026;

/** What a profile says about a call when it is read literally, rule by rule. */
export function literally(profile: SeccompProfile, abi: Abi, number: number, args: readonly bigint[]): number {
  const otherwise = returned(profile.defaultAction, profile.defaultErrnoRet);
  const seen = (n: bigint) => (callsOf[abi].wide ? n : BigInt.asUintN(32, n));
  const holds = (c: Condition) => {
    const [a, v, two] = [seen(args[c.index] ?? 0n), seen(BigInt(c.value)), seen(BigInt(c.valueTwo ?? 0))];
    if (c.op === 'SCMP_CMP_MASKED_EQ') return (a & v) === (two & v);
    return { NE: a !== v, LT: a < v, LE: a <= v, EQ: a === v, GE: a >= v, GT: a > v }[c.op.slice(9)]!;
  };
  const rules = profile.syscalls!.flatMap((rule) =>
    returned(rule.action, rule.errnoRet) === otherwise ? [] : rulesOn(rule, abi, number, seen(args[0] ?? 0n)),
  );
  const always = rules.find((r) => (r.args ?? []).length === 0);
  if (always !== undefined) return returned(always.action, always.errnoRet);
  for (const { args: conditions = [], action, errnoRet } of rules) {
    const twice = new Set(conditions.map((c) => c.index)).size < conditions.length;
    if (twice ? conditions.some(holds) : conditions.every(holds)) return returned(action, errnoRet);
  }
  const numbers = syscallNumbers(abi);
  const named = profile.syscalls!.flatMap((r) => r.names).map((n) => numbers.get(n) ?? 0);
  const newest = Math.max(0, ...named.filter((n) => n < 0x0f0000));
  const permissive = ['SCMP_ACT_ALLOW', 'SCMP_ACT_LOG', 'SCMP_ACT_TRACE'].includes(profile.defaultAction);
  return !permissive && newest > 0 && number > newest ? ENOSYS : otherwise;
}

/** The rule, if it speaks of the number: as the call's own, or of what i386 does by socketcall or ipc. */
function rulesOn(rule: Rule, abi: Abi, number: number, first: bigint): Rule[] {
  if (rule.names.some((name) => syscallNumbers(abi).get(name) === number)) return [rule];
  const conditional = (rule.args ?? []).length > 0;
  if (abi !== 'x86' || (conditional && ['SCMP_ACT_ALLOW', 'SCMP_ACT_LOG'].includes(rule.action))) return [];
  const through = rule.names.map(multiplexed).some((m) => m?.number === number && BigInt(m.call) === first);
  return through ? [{ ...rule, args: [{ index: 0, op: 'SCMP_CMP_EQ', value: first }] }] : [];
}

function returned(action: Action, errno = 1): number {
  return (actions[action].value | ('dataMax' in actions[action] ? errno : 0)) >>> 0;
}
