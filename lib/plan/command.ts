import { isMapped, subordinateHint } from '../namespaces/maps.ts';
import { capabilitySets } from '../process/capabilities.ts';
import { environment } from '../process/environment.ts';
import { execute, type Filter, type Start } from '../process/exec.ts';
import { runHooks } from '../process/hooks.ts';
import { identity } from '../process/identity.ts';
import { setFirstRlimits, setLastRlimits, setRlimits } from '../process/limits.ts';
import {
  isInherited,
  resetAffinity,
  setAffinity,
  setMemoryPolicy,
  setPersonality,
  setScheduling,
} from '../process/schedule.ts';
import { newKeyring, ownStdio, type Stdio, setStdio, startSession, type Terminal } from '../process/stdio.ts';
import { letsJoin } from '../seccomp/joins.ts';
import type { Hook, Linux, Process } from '../spec/types.ts';
import { addInput, type Draft } from './draft.ts';
import type { Facts } from './facts.ts';
import { type Maps, tags } from './plan.ts';
import { seccompFilter } from './seccomp.ts';

/** The command of a container, the first or a later one, once the init is where it is to run. */
export interface Command {
  readonly id: string;
  readonly linux: Linux;
  readonly process: Process;
  /** Where the command may be. */
  readonly files: readonly string[];
  /** Of the user namespace: ours, one whose maps nobody told us, or none. */
  readonly users: Maps | 'joined' | undefined;
  readonly stdio: Stdio | undefined;
  readonly terminal: Terminal | undefined;
  readonly ownStdio: boolean;
  readonly newKeyring: boolean;
  readonly preserveFds: number;
  /** The processors of the container's cgroup. */
  readonly cpus: string | undefined;
  /** A later command has words of its own about its processors. */
  readonly later?: boolean | undefined;
  readonly deathSignal: number | undefined;
  /** The supplementary groups of the caller stay. */
  readonly keepGroups?: boolean | undefined;
  /** Where the last word comes from, unless it was said before. */
  readonly start?: CommandStart | undefined;
}

/** By whoever connects to the container's socket, or by the host, at its last sync point. */
export type CommandStart =
  | { readonly kind: 'socket'; readonly hooks: readonly Hook[] }
  | {
      readonly kind: 'channel';
      /** Of the sync point; undefined where nobody waits for it. */
      readonly tag: number | undefined;
      /** The last step into the container, to be taken as late as it can be. */
      readonly fork?: (() => void) | undefined;
      /** It waits before it takes that step, and looks again then what it would have found there by now. */
      readonly ahead?: boolean | undefined;
      /** It has its filter already while it waits, where that lets it: to load one takes longer than to execute a command. */
      readonly filtered?: boolean | undefined;
    };

/** Everything between the place where a command runs and its exec. */
export function addCommand(draft: Draft, facts: Facts, command: Command): void {
  const { ops } = draft;
  const { linux, process, stdio: streams, terminal, start } = command;
  const maps = command.users === 'joined' ? undefined : command.users;
  const who = identity(process.user, {
    maps,
    keepGroups: command.keepGroups === true,
    groupsDenied: facts.groupsDenied,
    isMapped: (kind, id) => maps === undefined || isMapped(maps[kind], id),
    hint: subordinateHint,
  });
  const filter = seccompFilter(linux.seccomp, facts.arch);
  const stdio = streams ?? { stdin: terminal!.slave, stdout: terminal!.slave, stderr: terminal!.slave };
  const arrive = arrival(draft, facts, command, filter);
  // A session is led by who makes it, and ends with its leader.
  if (arrive === undefined) startSession(ops, terminal);
  if (command.newKeyring) newKeyring(ops, command.id);
  setStdio(ops, stdio);
  if (terminal !== undefined || command.ownStdio) ownStdio(ops, stdio, terminal, who);
  setScheduling(ops, process);
  setMemoryPolicy(ops, linux.memoryPolicy);
  if (command.later) setAffinity(ops, process.execCPUAffinity?.final, command.cpus);
  else resetAffinity(ops, command.cpus);
  setPersonality(ops, linux.personality);
  const rlimits = process.rlimits ?? [];
  // In the command only: a reaper that may open three files, or live for a second, is none.
  if (start === undefined) setRlimits(ops, rlimits);
  else setFirstRlimits(ops, rlimits);
  execute(ops, {
    files: command.files,
    argv: process.args,
    env: environment(process.env ?? []),
    noNewPrivileges: process.noNewPrivileges === true,
    sets: capabilitySets(process.capabilities),
    identity: who,
    mayLackSetgroups: command.users === 'joined',
    umask: process.user.umask ?? 0o022,
    deathSignal: command.deathSignal,
    filter,
    cwd: process.cwd,
    descriptors: inherited(draft, command.preserveFds),
    start: start && { ...lastWord(draft, process, start), arrive, filtered: waitsFiltered(facts, start, filter) },
  });
}

const waitsFiltered = ({ arch }: Facts, start: CommandStart, filter: Filter | undefined): boolean =>
  start.kind === 'channel' && start.filtered === true && letsArrive(filter, arch);

/** What an init does under a filter before it is the command, this filter lets it do. */
const letsArrive = (filter: Filter | undefined, arch: Facts['arch'], ahead = false): boolean =>
  filter !== undefined && filter.notify === undefined && letsJoin(filter.filter, arch, ahead);

/** Forks now or, where that can be, when all is done that takes more rights than the command has. */
function arrival(
  { ops }: Draft,
  facts: Facts,
  { start, terminal, process }: Command,
  filter: Filter | undefined,
): Start['arrive'] {
  if (start?.kind !== 'channel' || start.fork === undefined) return undefined;
  const { fork, ahead } = start;
  const filtered = letsArrive(filter, facts.arch, ahead);
  const privileged = filter !== undefined && process.noNewPrivileges !== true;
  if ((privileged && !filtered) || !isInherited(process.scheduler)) {
    fork();
    return undefined;
  }
  const join = () => {
    fork();
    startSession(ops, terminal);
  };
  return { filtered, fork: join, ahead };
}

function inherited(draft: Draft, count: number): string[] {
  const origin = 'option: preserveFds';
  return Array.from({ length: count }, (_, i) => addInput(draft, 'fd', { kind: 'inherited', fd: 3 + i, origin }));
}

function lastWord(draft: Draft, process: Process, start: CommandStart): Start {
  const rest = () => setLastRlimits(draft.ops, process.rlimits ?? []);
  if (start.kind === 'socket') return { ...socketStart(draft, process, start.hooks), rest };
  const wait = (kept: readonly string[]) => {
    draft.ops.op('keep_only', { registers: kept }, 'default: start');
    if (start.tag !== undefined) draft.ops.op('sync', { tag: start.tag }, 'default: start');
  };
  return { wait, rest };
}

/** All is made; what follows waits for whoever starts the container. */
function socketStart(draft: Draft, process: Process, hooks: readonly Hook[]): Omit<Start, 'rest'> {
  const { ops } = draft;
  const origin = 'default: start';
  const state = ops.register('state');
  const listener = addInput(draft, 'listener', { kind: 'listener', origin });
  const wait = (kept: readonly string[]) => {
    ops.op('keep_only', { registers: [listener, ...kept] }, origin);
    ops.op('sync', { tag: tags.created }, 'default: created');
    ops.op('await_start', { listener, dst: state, tag: tags.start }, origin);
  };
  if (hooks.length === 0) return { wait };
  // Their files are those of the container, and so is the environment of one that says nothing of it.
  return { wait, hooks: () => runHooks(ops, 'startContainer', hooks, { state, env: environment(process.env ?? []) }) };
}
