import { onTestFinished } from 'vitest';
import type { ForkRequest, Host, Session } from '../../lib/host/host.ts';
import type { Container } from '../../lib/index.ts';
import { createHost } from '../../lib/node/host.ts';
import { Runtime } from '../../lib/runtime.ts';
import { patienceMs } from '../support/requires.ts';

/** What was asked of this host. */
export interface Watched {
  readonly runtime: Runtime;
  readonly host: Host;
  /** How often a zygote was asked for a copy; `by` has those that answered. */
  asked: number;
  readonly by: Session[];
  /** How many inits that had their errand at hand were made without one. */
  direct: number;
  /** How many were made to wait, and how many of those have become what they were made for. */
  ahead: number;
  letGo: number;
}

export function watched(change: (host: Host) => Host = (host) => host): Watched {
  const given = change(createHost());
  const { processes } = given;
  const seen = { asked: 0, direct: 0, ahead: 0, letGo: 0, by: [] as Session[] };
  const host: Host = {
    ...given,
    processes: {
      ...processes,
      spawn(request) {
        if (typeof request.errand === 'object' && request.flags === 0) seen.direct++;
        return processes.spawn(request);
      },
      async forkBy(zygote, request: ForkRequest) {
        seen.asked++;
        const session = await processes.forkBy(zygote, request);
        seen.by.push(zygote);
        return session;
      },
      forkAhead(zygote, request: ForkRequest) {
        const waiting = processes.forkAhead(zygote, request);
        seen.ahead++;
        return {
          async letGo(word) {
            const session = await waiting.letGo(word);
            seen.letGo++;
            return session;
          },
          close: () => waiting.close(),
        };
      },
    },
  };
  const runtime = new Runtime(host);
  onTestFinished(() => runtime[Symbol.asyncDispose]());
  return Object.assign(seen, { runtime, host });
}

export const options = { host: true, command: ['sleep', '1000'], user: '0' } as const;

export async function started({ runtime }: Watched, more: object = {}): Promise<Container> {
  const container = await runtime.createContainer({ ...options, ...more });
  await container.start();
  return container;
}

/** Executes until a copy of a zygote has done it: how that ended, and the zygote. */
export async function byCopy<T>(
  seen: Watched,
  work: () => Promise<T>,
): Promise<{ readonly result: T; readonly zygote: Session }> {
  for (const giveUp = Date.now() + patienceMs; Date.now() < giveUp; ) {
    const before = seen.by.length;
    const result = await work();
    if (seen.by.length > before) return { result, zygote: seen.by.at(-1)! };
  }
  throw new Error('no copy of a zygote has executed anything');
}

export const sh = (script: string) => ['sh', '-c', script];

/** Each tells something of what a command is and may do, but for numbers that are others each time; in a few milliseconds. */
export const allThatItIs = [
  'readlink /proc/self/ns/*',
  'cat /proc/self/cgroup /proc/self/limits /proc/self/oom_score_adj /proc/self/coredump_filter',
  'id; umask; pwd',
  'env | sort',
  'ls /proc/$$/fd; readlink /proc/$$/fd/0',
  'grep -E "^(Uid|Gid|Groups|Cap|NoNew|Seccomp:|Sig(Blk|Ign|Cgt)|ShdPnd|Umask|Cpus_allowed:|CoreDumping|THP)" /proc/self/status',
  // Its own session, or whose: not the numbers, which are others each time.
  'read -r pid comm state ppid pgrp session tty rest < /proc/$$/stat; echo $ppid $((pgrp == pid)) $((session == pid)) $tty',
];
