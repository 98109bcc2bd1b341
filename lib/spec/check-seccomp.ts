import type { Issue } from '../errors.ts';
import type { Rule } from './rules.ts';
import { anyText, integer, list, object, once, oneOf, required, someText, text, uint64 } from './shape.ts';

const actions = [
  'SCMP_ACT_KILL',
  'SCMP_ACT_KILL_PROCESS',
  'SCMP_ACT_KILL_THREAD',
  'SCMP_ACT_TRAP',
  'SCMP_ACT_ERRNO',
  'SCMP_ACT_TRACE',
  'SCMP_ACT_ALLOW',
  'SCMP_ACT_LOG',
  'SCMP_ACT_NOTIFY',
];

const operators = [
  'SCMP_CMP_NE',
  'SCMP_CMP_LT',
  'SCMP_CMP_LE',
  'SCMP_CMP_EQ',
  'SCMP_CMP_GE',
  'SCMP_CMP_GT',
  'SCMP_CMP_MASKED_EQ',
];

const flags = [
  'SECCOMP_FILTER_FLAG_TSYNC',
  'SECCOMP_FILTER_FLAG_LOG',
  'SECCOMP_FILTER_FLAG_SPEC_ALLOW',
  'SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV',
];

const action = oneOf(actions, 'seccomp action');
/** Which actions take an errno, and how large, lib/seccomp says. */
const errno = integer(0, 0xffff);

/** The types and words of a profile. What they mean together is checked where the filter is compiled: lib/seccomp. */
export const seccompShape = once(
  object({
    defaultAction: required(action),
    defaultErrnoRet: errno,
    // Only the form: a profile lists the architectures of other machines, and of ones to come.
    architectures: list(text(/^SCMP_ARCH_[A-Z0-9_]+$/, 'must be a name such as SCMP_ARCH_X86_64')),
    flags: list(oneOf(flags, 'seccomp flag')),
    // An empty one is none; what sockets can be called by, unix(7).
    listenerPath: text(/^(\/.{0,106})?$/s, 'must be an absolute path of at most 107 characters'),
    listenerMetadata: anyText,
    syscalls: list(
      object({
        names: required(list(someText, 1)),
        action: required(action),
        errnoRet: errno,
        args: list(
          object({
            index: required(integer(0, 5)),
            value: required(uint64),
            valueTwo: uint64,
            op: required(oneOf(operators, 'seccomp operator')),
          }),
        ),
      }),
    ),
  }),
);

interface Profile {
  readonly defaultAction: string;
  readonly defaultErrnoRet?: number;
  readonly listenerPath?: string;
  readonly listenerMetadata?: string;
  readonly syscalls?: readonly { readonly action: string; readonly errnoRet?: number }[];
}

const withErrno: readonly string[] = ['SCMP_ACT_ERRNO', 'SCMP_ACT_TRACE'];

/** What the specification wants to be an error; what else makes a profile useless, lib/seccomp says. */
export const seccompRules: readonly Rule[] = [
  {
    needs: ['/linux/seccomp'],
    check: ({ linux }) => {
      const profile = linux.seccomp as Profile | undefined;
      if (profile === undefined) return [];
      const issues: Issue[] = [];
      const errno = (action: string, given: number | undefined, path: string) => {
        if (given === undefined || withErrno.includes(action)) return;
        issues.push({ path: `/linux/seccomp/${path}`, message: `${action} takes no errno` });
      };
      errno(profile.defaultAction, profile.defaultErrnoRet, 'defaultErrnoRet');
      (profile.syscalls ?? []).forEach(({ action, errnoRet }, i) => {
        errno(action, errnoRet, `syscalls/${i}/errnoRet`);
      });
      if ((profile.listenerMetadata ?? '') !== '' && (profile.listenerPath ?? '') === '') {
        issues.push({ path: '/linux/seccomp/listenerMetadata', message: 'has no use without a listenerPath' });
      }
      return issues;
    },
  },
];
