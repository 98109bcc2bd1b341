import { RuntsError } from '../errors.ts';
import type { CgroupFacts, Facts } from '../plan/facts.ts';
import { containerMaps } from '../plan/keeper.ts';
import type { Maps, Segment } from '../plan/plan.ts';
import { Builder } from '../program/builder.ts';
import { bounded } from './bounded.ts';
import { type Cancel, throwIfCanceled } from './cancel.ts';
import type { Host } from './host.ts';
import { writeMaps } from './maps.ts';
import { probeFacts, textOf } from './probe.ts';
import { closeHandles, runProgram } from './program.ts';
import { endSession } from './session.ts';
import { messageOf, Undo, withReleaseErrors } from './undo.ts';

/** One thing that containers need, and whether it is there. */
export interface Check {
  readonly name: string;
  readonly ok: boolean;
  /** No container can be made without it. */
  readonly needed: boolean;
  /** What was found. */
  readonly detail: string;
  /** What it is for: only where it is missing. */
  readonly why?: string;
  /** What to do about it: only where it is missing. */
  readonly hint?: string;
}

interface Question {
  readonly name: string;
  readonly why: string;
  /** Gives what was found; throws when it is missing. */
  readonly ask: (host: Host, facts: Facts) => Promise<string> | string;
}

const essential: ReadonlySet<string> = new Set(['kernel', 'user namespaces', 'mount namespaces', 'pid namespaces']);
const deadlineMs = 10_000;
const newUser = 0x10000000;
const newMount = 0x20000;
const newPid = 0x20000000;
const origin = 'doctor';

/** Looks at everything containers need from this host: by doing it, wherever it can be done. */
export async function examine(host: Host, cancel?: Cancel): Promise<Check[]> {
  const facts = await probeFacts(bounded(host, { deadlineMs }));
  const checks: Check[] = [];
  for (const question of questions) {
    throwIfCanceled(cancel, 'finding out what this host can do');
    checks.push(await answer(question, host, facts));
  }
  return checks;
}

async function answer({ name, why, ask }: Question, host: Host, facts: Facts): Promise<Check> {
  const needed = essential.has(name);
  try {
    return { name, needed, ok: true, detail: await ask(host, facts) };
  } catch (error) {
    const hint = RuntsError.is(error) ? error.hint : undefined;
    return { name, needed, ok: false, detail: messageOf(error), why, ...(hint !== undefined && { hint }) };
  }
}

// ---- the questions -----------------------------------------------------------------------------------------------------

const namespaces = [
  ['mount', newMount, 'a root file system of its own'],
  ['pid', newPid, 'processes that do not see the host, and end together'],
  ['network', 0x40000000, 'a network of its own'],
  ['ipc', 0x08000000, 'shared memory and message queues of its own'],
  ['uts', 0x04000000, 'a host name of its own'],
  ['cgroup', 0x02000000, 'a view of its own cgroup only'],
  ['time', 0x80, 'clocks of its own'],
] as const;

const questions: readonly Question[] = [
  { name: 'kernel', why: 'runts uses system calls up to those of Linux 5.14.', ask: kernelVersion },
  {
    name: 'user namespaces',
    why: 'Without them only root can make containers.',
    ask: (host) => tried(host, newUser, asRoot(), 'made one and became root in it'),
  },
  ...namespaces.map(
    ([name, flag, what]): Question => ({
      name: `${name} namespaces`,
      why: `They give a container ${what}.`,
      // A time namespace is for children: clone3(2) makes none, unshare(2) does.
      ask: (host) =>
        name === 'time'
          ? tried(
              host,
              newUser,
              asRoot((b) => b.op('unshare', { flags: flag }, origin)),
              'made one',
            )
          : tried(host, newUser | flag, asRoot(), 'made one'),
    }),
  ),
  {
    name: 'proc in a pid namespace',
    why: 'A container with processes of its own shows them in a /proc of its own.',
    ask: (host, facts) => tried(host, newUser | newMount | newPid, proc(), 'mounted one', facts),
  },
  {
    name: 'user namespace limits',
    why: 'Every container without root takes one user namespace.',
    ask: (host) => sysctl(host, 'user/max_user_namespaces', (n) => n > 0, 'sysctl user.max_user_namespaces=15000'),
  },
  {
    name: 'apparmor',
    why: 'Its restriction takes all capabilities from new user namespaces of programs without a profile.',
    ask: apparmor,
  },
  {
    name: 'overlay in a user namespace',
    why: 'Without it the layers of an image are copied for every container.',
    ask: (host) => tried(host, newUser | newMount, overlay(), 'mounted one'),
  },
  {
    name: 'idmapped mounts',
    why: 'Without them bind mounts show the files of other users as those of nobody.',
    ask: idmapped,
  },
  { name: 'subordinate ids', why: 'Without them a container has one user only.', ask: subordinate },
  {
    name: 'seccomp',
    why: 'Filters of system calls keep a container from most of the kernel.',
    ask: (host) => tried(host, newUser, seccomp(), 'installed a filter'),
  },
  {
    name: 'cgroup v2',
    why: 'Limits on memory, processors and processes need it.',
    ask: (_, { cgroup }) => cgroups(cgroup),
  },
  {
    name: 'system views',
    why: 'With systemView a container sees its own limits in /proc, which are served over FUSE.',
    ask: (host) => tried(host, newUser | newMount, fuse(), 'mounted one over /dev/fuse'),
  },
  {
    name: 'execution from memory',
    why: 'The init is executed from a sealed memory file, which nobody can replace.',
    ask: (host) => sysctl(host, 'vm/memfd_noexec', (n) => n < 2, 'sysctl vm.memfd_noexec=1'),
  },
];

function kernelVersion(host: Host): string {
  const { kernel } = host.environment;
  const [major = 0, minor = 0] = kernel.split('.').map((part) => Number.parseInt(part, 10));
  if (major > 5 || (major === 5 && minor >= 14)) return kernel;
  throw missing(`${kernel} is older than 5.14`, 'Upgrade the kernel.');
}

async function sysctl(host: Host, name: string, good: (value: number) => boolean, cure: string): Promise<string> {
  const text = (await textOf(host, `/proc/sys/${name}`)).trim();
  const dotted = name.replace(/\//g, '.');
  if (text === '') return `this kernel has no ${dotted}`;
  if (good(Number(text))) return `${dotted} is ${text}`;
  throw missing(`${dotted} is ${text}`, `As root: ${cure}`);
}

async function apparmor(host: Host): Promise<string> {
  const name = 'kernel/apparmor_restrict_unprivileged_userns';
  if (host.environment.privileged) return 'does not concern root';
  const cure = 'sysctl kernel.apparmor_restrict_unprivileged_userns=0, or a profile with "userns," for this program';
  return sysctl(host, name, (n) => n === 0, cure);
}

function subordinate(host: Host, facts: Facts): string {
  const { uid, programs } = host.environment;
  const { uids, gids } = facts.subordinate;
  if (uid !== 0 && (programs.newuidmap === undefined || programs.newgidmap === undefined)) {
    throw missing(
      'newuidmap and newgidmap were not found',
      'Install the package uidmap (Debian, Ubuntu) or shadow-utils.',
    );
  }
  const sum = (ranges: Facts['subordinate']['uids']) => ranges.reduce((all, range) => all + range.count, 0);
  if (uids.length > 0 && gids.length > 0) return `${sum(uids)} uids, ${sum(gids)} gids`;
  // Root needs none: where nothing is set aside, its containers have a range that belongs to nobody.
  const range = facts.privileged ? containerMaps('auto', facts)?.uids[0] : undefined;
  if (range !== undefined && range.size > 1)
    return `none, and root needs none: ${range.size} ids from ${range.host} on`;
  const who = uid === 0 ? 'runts' : 'USER';
  const cure = `usermod --add-subuids 100000-165535 --add-subgids 100000-165535 ${who}`;
  throw missing('no entry in /etc/subuid and /etc/subgid, or not for ids that exist here', `As root: ${cure}`);
}

function cgroups({ mode, own, parent, controllers, occupied, legacy }: CgroupFacts): string {
  if (mode === 'legacy' || mode === 'none') {
    throw missing(
      `the host has ${mode === 'none' ? 'no cgroups' : 'cgroup v1 only'}`,
      'Boot with systemd.unified_cgroup_hierarchy=1.',
    );
  }
  if (parent === undefined) {
    throw missing(
      `no cgroup is delegated to us${own === undefined ? '' : ` (we are in ${own})`}`,
      'Run in a unit with Delegate=yes: systemd-run --user --scope -p Delegate=yes …',
    );
  }
  const absent = ['memory', 'pids', 'cpu'].filter((name) => !controllers.includes(name));
  const where = `${mode}, below ${parent}, with ${controllers.join(' ') || 'no controllers'}`;
  if (absent.length === 0) return where;
  throw missing(`${where}; missing: ${absent.join(', ')}`, controllersCure(occupied, absent, legacy));
}

function controllersCure(occupied: boolean, absent: readonly string[], legacy: readonly string[]): string {
  if (absent.some((name) => legacy.includes(name)))
    return 'The controllers are with cgroup v1 here: boot with systemd.unified_cgroup_hierarchy=1.';
  if (occupied)
    return 'Processes live in it, so it can give no controllers to others: move them to a cgroup below it (DelegateSubgroup=main in a unit of systemd).';
  return 'Delegate them: a drop-in for user@.service with `Delegate=cpu cpuset io memory pids`.';
}

const missing = (what: string, hint: string) => new RuntsError('ERR_UNSUPPORTED', what, { hint });

// ---- by doing ----------------------------------------------------------------------------------------------------------

async function tried(host: Host, flags: number, segment: Segment, done: string, facts?: Facts): Promise<string> {
  closeHandles(await runProgram(host, { flags, maps: singleMap(host), segment, facts }, { deadlineMs }));
  return done;
}

/** Our own ids as root: what everybody may map. */
function singleMap({ environment: { uid, gid } }: Host): Maps {
  return {
    uids: [{ container: 0, host: uid, size: 1 }],
    gids: [{ container: 0, host: gid, size: 1 }],
    setgroups: 'deny',
    by: 'write',
    origin,
  };
}

function asRoot(more: (builder: Builder) => unknown = () => {}): Segment {
  const builder = new Builder();
  builder.op('become_root', {}, origin);
  more(builder);
  return builder.op('halt', {}, origin).segment();
}

/** On a tmpfs at /proc, which is there on every host and which our mount namespace alone sees. */
function overlay(): Segment {
  const at = '/proc';
  return asRoot((b) => {
    b.op('propagation', { flags: 0x4_0000 }, origin);
    b.op('fsmount', { dst: 'base', fstype: 'tmpfs', options: [], attributes: 0 }, origin);
    b.op('attach_host', { src: 'base', path: at }, origin);
    for (const path of ['lower', 'upper', 'work']) b.op('directory', { root: 'base', path, mode: 0o755 }, origin);
    const options = [`lowerdir=${at}/lower`, `upperdir=${at}/upper`, `workdir=${at}/work`];
    b.op('fsmount', { dst: 'overlay', fstype: 'overlay', options, attributes: 0 }, origin);
  });
}

/** It is only made, and not attached anywhere. */
const proc = () => asRoot((b) => b.op('fsmount', { dst: 'proc', fstype: 'proc', options: [], attributes: 0 }, origin));

const fuse = () => asRoot((b) => b.op('fuse_mount', { device: 'device', mount: 'mount' }, origin));

/** One instruction: return SECCOMP_RET_ALLOW. */
const allowAll = new Uint8Array([0x06, 0, 0, 0, 0, 0, 0xff, 0x7f]);

function seccomp(): Segment {
  return asRoot((b) => b.op('no_new_privs', {}, origin).op('seccomp', { filter: allowAll, flags: 0 }, origin));
}

/** An init that only waits holds the user namespace; a helper with our rights maps a mount of the host through it. */
async function idmapped(host: Host): Promise<string> {
  if (!host.environment.privileged)
    throw missing('only root may map the mounts of this host', 'Run as root, or do without.');
  const ports = bounded(host, { deadlineMs });
  const undo = new Undo();
  let error: unknown;
  try {
    const session = await ports.processes.spawn({ flags: newUser });
    undo.add(() => endSession(host, session, deadlineMs));
    await writeMaps(ports, session.pid, singleMap(host));
    const userns = await ports.files.open(`/proc/${session.pid}/ns/user`, 'read');
    undo.add(() => userns.close());
    const builder = new Builder();
    builder.input('userns');
    builder.op('clone_mount', { dst: 'mount', path: '/', recursive: 0 }, origin);
    builder.op('idmap', { src: 'mount', userns: 'userns', recursive: 0 }, origin);
    const segment = builder.op('halt', {}, origin).segment();
    closeHandles(await runProgram(host, { segment, inputs: [userns] }, { deadlineMs }));
  } catch (e) {
    error = e;
  }
  const [first, ...others] = error === undefined ? await undo.run() : [error, ...(await undo.run())];
  if (first !== undefined) throw withReleaseErrors(first, others);
  return 'mapped a mount of the root file system';
}
