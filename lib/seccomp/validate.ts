import type { Issue } from '../errors.ts';
import {
  type Action,
  actions,
  architectures,
  type Condition,
  flags,
  operators,
  type Rule,
  type SeccompProfile,
} from './profile.ts';

/** Everything that is wrong with a profile whose fields have the right JSON types; paths begin at `/linux/seccomp`. */
export function profileIssues(profile: SeccompProfile): Issue[] {
  const root = '/linux/seccomp';
  const issues: Issue[] = [];
  actionIssues(
    issues,
    profile.defaultAction,
    profile.defaultErrnoRet,
    `${root}/defaultAction`,
    `${root}/defaultErrnoRet`,
  );
  if (profile.defaultAction === 'SCMP_ACT_NOTIFY') {
    // The process could not even exec without an answer, nor hand over the listener to who would give it.
    issues.push({ path: `${root}/defaultAction`, message: 'SCMP_ACT_NOTIFY cannot be the default action' });
  }
  wordIssues(issues, profile.architectures, architectures, `${root}/architectures`);
  wordIssues(issues, profile.flags, Object.keys(flags), `${root}/flags`);
  if (profile.listenerMetadata !== undefined && profile.listenerPath === undefined) {
    issues.push({ path: `${root}/listenerMetadata`, message: 'has no use without a listenerPath' });
  }
  (profile.syscalls ?? []).forEach((rule, i) => {
    ruleIssues(issues, rule, `${root}/syscalls/${i}`);
  });
  return issues;
}

/** Calls of which nobody could be notified before the listener has been handed over. */
const unanswered: Readonly<Record<string, string>> = {
  sendmsg: 'the listener itself is handed over by it',
  write: 'what starts the command may make it before, and would wait for ever',
};

function ruleIssues(issues: Issue[], rule: Rule, path: string): void {
  if (rule.names.length === 0) issues.push({ path: `${path}/names`, message: 'must have at least one name' });
  actionIssues(issues, rule.action, rule.errnoRet, `${path}/action`, `${path}/errnoRet`);
  rule.names.forEach((name, i) => {
    const why = rule.action === 'SCMP_ACT_NOTIFY' ? unanswered[name] : undefined;
    const message = `SCMP_ACT_NOTIFY cannot be used for the ${name} syscall: ${why}`;
    if (why !== undefined) issues.push({ path: `${path}/names/${i}`, message });
  });
  (rule.args ?? []).forEach((condition, i) => {
    conditionIssues(issues, condition, `${path}/args/${i}`);
  });
}

function actionIssues(
  issues: Issue[],
  action: Action,
  errno: number | undefined,
  path: string,
  errnoPath: string,
): void {
  if (!Object.keys(actions).includes(action)) {
    issues.push({ path, message: unknown(action, Object.keys(actions)) });
    return;
  }
  if (errno === undefined) return;
  const { dataMax } = actions[action] as { readonly dataMax?: number };
  if (dataMax === undefined) {
    issues.push({ path: errnoPath, message: `${action} takes no errno` });
  } else if (!Number.isInteger(errno) || errno < 0 || errno > dataMax) {
    issues.push({ path: errnoPath, message: `must be an integer from 0 to ${dataMax}, not ${errno}` });
  }
}

function conditionIssues(issues: Issue[], condition: Condition, path: string): void {
  if (![0, 1, 2, 3, 4, 5].includes(condition.index)) {
    issues.push({ path: `${path}/index`, message: `must be 0 to 5, not ${condition.index}` });
  }
  wideIssue(issues, condition.value, `${path}/value`);
  if (condition.valueTwo !== undefined) wideIssue(issues, condition.valueTwo, `${path}/valueTwo`);
  if (!operators.includes(condition.op)) {
    issues.push({ path: `${path}/op`, message: unknown(condition.op, operators) });
  }
}

function wideIssue(issues: Issue[], value: number | bigint, path: string): void {
  if (typeof value === 'number' && !Number.isSafeInteger(value)) {
    issues.push({ path, message: `must be an exact integer (a bigint from 2^53 on), not ${value}` });
  } else if (value < 0 || value > 0xffffffffffffffffn) {
    issues.push({ path, message: `must be an unsigned 64-bit integer, not ${value}` });
  }
}

function wordIssues(
  issues: Issue[],
  given: readonly string[] | undefined,
  known: readonly string[],
  path: string,
): void {
  (given ?? []).forEach((word, i) => {
    if (!known.includes(word)) issues.push({ path: `${path}/${i}`, message: unknown(word, known) });
  });
}

function unknown(word: string, known: readonly string[]): string {
  return `unknown: ${JSON.stringify(word)}; it can be ${known.join(', ')}`;
}
