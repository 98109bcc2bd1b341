import { RuntsError } from '../errors.ts';
import { spawnShape } from '../namespaces/shape.ts';
import { commandFiles } from '../process/environment.ts';
import { chdirConditions } from '../process/exec.ts';
import { keepsGroups } from '../process/identity.ts';
import { setLabels } from '../process/labels.ts';
import { setOomScore } from '../process/oom.ts';
import { setFirstAffinity } from '../process/schedule.ts';
import { openTerminal, type Terminal, type WindowSize } from '../process/stdio.ts';
import { type NamespaceType, namespaceFiles, namespaceFlags } from '../spec/names.ts';
import type { Process, Spec } from '../spec/types.ts';
import { addCommand } from './command.ts';
import { addInput, type Draft, hostProc, newDraft } from './draft.ts';
import type { Facts } from './facts.ts';
import { type Plan, tags } from './plan.ts';
import { checkPlan } from './rules.ts';
import { stdioInputs } from './scene.ts';

/** One more command in a container. */
export interface ExecRequest {
  /** Of the container. */
  readonly id: string;
  /** Its configuration, checked: what confines its first process confines this one. */
  readonly spec: Spec;
  /** What to execute, complete and checked. Without a word about no_new_privs it has that of the container. */
  readonly process: Process;
  /**
   * Of the container's first process, in our PID namespace. Whoever calls sees to it that it is still that one. Undefined
   * where the host has a pidfd of it, and all of `namespaces` are the container's own: they are entered by that at once.
   */
  readonly pid: number | undefined;
  /** No sync point before the command is executed: nobody has anything to do then. */
  readonly atOnce?: boolean | undefined;
  /** It waits for its start before it can be seen in the container, where that goes; and makes nothing there. */
  readonly ahead?: boolean | undefined;
  /** Those in which that process is and we are not. */
  readonly namespaces: ReadonlySet<NamespaceType>;
  readonly stdio: 'pipes' | 'terminal';
  /** Descriptors 0 to 2 are pipes that were made for this command: its user may own them. */
  readonly ownStdio: boolean;
  readonly consoleSize?: WindowSize | undefined;
  /** As for a container. */
  readonly plainOutput?: boolean | undefined;
  readonly preserveFds?: number | undefined;
  /** The session keyring of the container; true unless said. */
  readonly newKeyring?: boolean | undefined;
}

/**
 * Compiles what it takes to run a command in a container that is there: a throw-away init, born in the container's cgroup
 * and in our own namespaces, enters its namespaces and becomes the command, with all that the configuration says of
 * confinement. Its last sync point is `tags.start`, where it waits at all.
 */
export function planExec(request: ExecRequest, facts: Facts): Plan {
  const { spec, process, namespaces } = request;
  if (!namespaces.has('mount')) {
    throw new RuntsError(
      'ERR_UNSUPPORTED',
      'cannot execute a command in a container that shares the mounts of the host',
      {
        hint: 'The command would run in the root of the host. Its configuration needs a mount namespace.',
      },
    );
  }
  const draft = newDraft();
  const { ops } = draft;
  const stdio = request.stdio === 'pipes' ? stdioInputs(draft) : undefined;

  prepareOutside(draft, process);
  joinAll(draft, request);
  const root = rootOfContainer(draft);
  const terminal = stdio === undefined ? addTerminal(draft, request, root) : undefined;
  if (!request.ahead) makeWorkingDirectory(draft, process, root);
  // Who waits holds no directory: somebody may want to unmount it.
  goToWork(draft, request.ahead ? { ...process, cwd: '/' } : process);
  const forks = namespaces.has('pid') || namespaces.has('time');
  const files = commandFiles(process.args, process.env ?? []);
  ops.op('find', { files }, '/process/args/0');
  addCommand(draft, facts, {
    id: request.id,
    linux: spec.linux,
    process: { ...process, noNewPrivileges: process.noNewPrivileges ?? spec.process?.noNewPrivileges },
    files,
    users: namespaces.has('user') ? 'joined' : undefined,
    stdio,
    terminal,
    ownStdio: request.ownStdio,
    newKeyring: request.newKeyring ?? true,
    keepGroups: keepsGroups(spec.annotations),
    preserveFds: request.preserveFds ?? 0,
    cpus: spec.linux.resources?.cpu?.cpus,
    later: true,
    deathSignal: undefined,
    start: {
      kind: 'channel',
      tag: request.atOnce ? undefined : tags.start,
      ahead: request.ahead,
      fork: forks ? () => ops.op('fork', {}, 'exec: namespaces') : undefined,
    },
  });
  return finish(draft);
}

/** What takes the rights, and the /proc, of the host; the /proc of the container may be anything (CVE-2019-16884). */
function prepareOutside({ ops }: Draft, process: Process): void {
  const { execCPUAffinity, oomScoreAdj } = process;
  setFirstAffinity(ops, execCPUAffinity?.initial);
  const proc = hostProc(ops);
  setOomScore(ops, proc.register, oomScoreAdj);
  setLabels(ops, proc.register, process);
  proc.close();
}

function joinAll(draft: Draft, { pid, namespaces }: ExecRequest): void {
  const { ops } = draft;
  // In there, root of the container could attach to us, and take over what we have of the host.
  ops.op('undumpable', {}, 'default: no attaching');
  if (pid === undefined) joinProcess(draft, namespaces);
  else joinFiles(draft, pid, namespaces);
  if (namespaces.has('user')) ops.op('become_root', {}, joinOrigin);
}

const joinOrigin = 'exec: namespaces';

function joinProcess(draft: Draft, namespaces: ReadonlySet<NamespaceType>): void {
  const src = addInput(draft, 'process', { kind: 'process', origin: joinOrigin });
  const flags = [...namespaces].reduce((all, type) => all | namespaceFlags[type], 0);
  draft.ops.op('join_process', { src, namespaces: BigInt(flags) }, joinOrigin);
}

function joinFiles(draft: Draft, pid: number, namespaces: ReadonlySet<NamespaceType>): void {
  const origin = joinOrigin;
  const input = (type: NamespaceType) => {
    // Under a reaper, the container's time namespace is that of its children only.
    const file = type === 'time' ? 'time_for_children' : namespaceFiles[type];
    return addInput(draft, type, { kind: 'namespace', type, path: `/proc/${pid}/ns/${file}`, origin });
  };
  const user = namespaces.has('user') ? input('user') : undefined;
  const others = [...namespaces].filter((type) => type !== 'user').sort();
  draft.ops.op('join', { namespaces: others.map(input), user }, origin);
}

/**
 * The namespaces in which the first process of a container of ours is and we are not, where each of them was made for it:
 * those are entered by its pidfd. Undefined where some may be others', or are not those of the process itself.
 */
export function ownNamespaces({ linux }: Spec, { privileged }: Facts): ReadonlySet<NamespaceType> | undefined {
  const { created, joined, time } = spawnShape(linux.namespaces, { privileged, reap: true });
  return joined.length > 0 || time !== 'none' ? undefined : created;
}

/** The root of the mount namespace, which setns(2) has made ours. */
function rootOfContainer({ ops }: Draft): () => string {
  let dst: string | undefined;
  return () => {
    if (dst !== undefined) return dst;
    dst = ops.register('root');
    ops.op('open', { dst, path: '/' }, 'exec: root');
    return dst;
  };
}

/** One of the container's own pseudo-terminals. */
function addTerminal({ ops }: Draft, { process, consoleSize, plainOutput }: ExecRequest, root: () => string): Terminal {
  const origin = '/process/terminal';
  const devpts = ops.register('devpts');
  ops.op('open_below', { dst: devpts, root: root(), path: 'dev/pts', directory: 1 }, origin);
  const terminal = openTerminal(ops, {
    devpts,
    console: undefined,
    size: consoleSize ?? process.consoleSize,
    plain: plainOutput,
  });
  ops.op('send_handle', { src: terminal.master, tag: tags.console }, origin);
  return terminal;
}

/** It need not exist, as with the first command; where the root is read-only and it does not, that is an error. */
function makeWorkingDirectory({ ops }: Draft, { cwd }: Process, root: () => string): void {
  const names = cwd.split('/').filter((name) => name !== '' && name !== '.');
  // Above the root there is the root; further down a name may be a link, and what is above that is somewhere else.
  const below = names.findIndex((name) => name !== '..');
  if (below === -1) return;
  const path = names.slice(below).join('/');
  ops.op('directory', { root: root(), path, mode: 0o755 }, '/process/cwd', { unless: ['EROFS', 'EACCES'] });
}

function goToWork({ ops }: Draft, { cwd, user }: Process): void {
  ops.op('chdir', { path: cwd }, '/process/cwd', chdirConditions(user, cwd));
}

function finish({ inputs, ops, warnings }: Draft): Plan {
  const plan: Plan = {
    flags: 0,
    inputs,
    segment: ops.segment(),
    reaps: false,
    ...(warnings.length > 0 && { warnings }),
  };
  checkPlan(plan, 'exec');
  return plan;
}
