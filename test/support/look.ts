import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import { patience } from './patience.ts';

/** What of the host a container may change, as this process sees it. Every list is sorted. */
export interface Look {
  /** /proc/self/mountinfo: what is mounted where in our mount namespace. */
  readonly mounts: readonly string[];
  /** What our descriptors lead to; each as often as there are descriptors for it. */
  readonly descriptors: readonly string[];
  /** Our children, and theirs, by pid and name: zombies too. */
  readonly processes: readonly string[];
  /** Namespaces that our children are in and we are not. */
  readonly namespaces: readonly string[];
  /** Cgroups of cgroup v2 with one of our names. */
  readonly cgroups: readonly string[];
  /** Everything below the directories that were named. */
  readonly files: readonly string[];
}

export interface LookOptions {
  /** Data and state directories of the runtime. */
  readonly directories?: readonly string[];
  /** How the names of our cgroups begin. Others run tests on this machine too. */
  readonly cgroups?: string;
}

/** Takes a look at the host. */
export function look({ directories = [], cgroups = `runts-test-${process.pid}-` }: LookOptions = {}): Look {
  const children = descendants();
  return {
    mounts: mountsOf('self'),
    descriptors: descriptors().sort(),
    processes: children.map((pid) => `${pid} ${textOf(`/proc/${pid}/comm`).trim()}`).sort(),
    namespaces: foreignNamespaces(children),
    cgroups: cgroupDirectories(cgroups),
    files: directories.flatMap((directory) => below(directory)).sort(),
  };
}

/** How long what ends asynchronously may take: a pidfd, a keeper, the teardown of a namespace. */
const settleMs = 5000;

/** Expects the host to be as it was: at once, or within a few seconds where an end takes its time. */
export async function expectUnchanged(before: Look, options: LookOptions = {}): Promise<void> {
  const giveUp = Date.now() + settleMs;
  for (;;) {
    const now = look(options);
    if (same(before, now) || Date.now() > giveUp) {
      expect(now).toEqual(before);
      return;
    }
    await sleep(20);
  }
}

/** Whether a process is there: a zombie has ended. */
export function isAlive(pid: number): boolean {
  const stat = textOf(`/proc/${pid}/stat`);
  const state = stat.slice(stat.lastIndexOf(')') + 2).charAt(0);
  return state !== '' && state !== 'Z' && state !== 'X';
}

/** The processes that descend from one, by pid; from us unless another is named. */
export function descendants(of: number | 'self' = 'self'): number[] {
  const found: number[] = [];
  const queue = childrenOf(of);
  for (let pid = queue.shift(); pid !== undefined; pid = queue.shift()) {
    found.push(pid);
    queue.push(...childrenOf(pid));
  }
  return found;
}

/** Waits until something holds; false when it still does not after a while. */
export async function until(holds: () => boolean, withinMs: number): Promise<boolean> {
  for (const giveUp = Date.now() + withinMs * patience; !holds(); await sleep(5)) {
    if (Date.now() > giveUp) return false;
  }
  return true;
}

const same = (a: Look, b: Look) => JSON.stringify(a) === JSON.stringify(b);

function childrenOf(pid: number | 'self'): number[] {
  // A process is the child of the thread that made it.
  return namesIn(`/proc/${pid}/task`).flatMap((thread) =>
    textOf(`/proc/${pid}/task/${thread}/children`)
      .split(' ')
      .filter((word) => word !== '')
      .map(Number),
  );
}

function mountsOf(pid: number | 'self'): string[] {
  const lines = textOf(`/proc/${pid}/mountinfo`).trim().split('\n');
  // Without the ids: a namespace that we join for a moment gives others.
  return lines.map((line) => line.split(' ').slice(2).join(' ')).sort();
}

function descriptors(): string[] {
  const own = '/proc/self/fd';
  return namesIn(own).flatMap((fd) => {
    const target = linkOf(join(own, fd));
    // The descriptor that listed the directory is gone by now.
    return target === undefined || /^\/proc\/\d+\/fd$/.test(target) ? [] : [target];
  });
}

const namespaceTypes = ['user', 'mnt', 'pid', 'ipc', 'uts', 'cgroup', 'net', 'time'];

function foreignNamespaces(pids: readonly number[]): string[] {
  const found = new Set<string>();
  for (const type of namespaceTypes) {
    const ours = linkOf(`/proc/self/ns/${type}`);
    for (const pid of pids) {
      const theirs = linkOf(`/proc/${pid}/ns/${type}`);
      if (theirs !== undefined && theirs !== ours) found.add(theirs);
    }
  }
  return [...found].sort();
}

function cgroupDirectories(prefix: string): string[] {
  const mount = /^\S+ \S+ \S+ \S+ (\S+) .* - cgroup2 /m.exec(textOf('/proc/self/mountinfo'))?.[1];
  if (mount === undefined) return [];
  return below(mount, true)
    .filter((path) => path.slice(path.lastIndexOf('/') + 1).startsWith(prefix))
    .sort();
}

/** Everything below a directory, or its directories only; nothing where it does not exist. */
function below(directory: string, onlyDirectories = false): string[] {
  return entries(directory).flatMap((entry) => {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) return [path, ...below(path, onlyDirectories)];
    return onlyDirectories ? [] : [path];
  });
}

function entries(directory: string) {
  try {
    return readdirSync(directory, { withFileTypes: true });
  } catch {
    return [];
  }
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function linkOf(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}
