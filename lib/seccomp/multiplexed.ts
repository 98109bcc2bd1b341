import { parseNumbers } from './syscalls.ts';

/** The functions of i386's socketcall(2) and ipc(2), by the system call whose work each does. */
const functions = {
  socketcall: `
    1 socket bind connect listen accept getsockname getpeername socketpair send recv sendto recvfrom shutdown setsockopt
    getsockopt sendmsg recvmsg accept4 recvmmsg sendmmsg
  `,
  ipc: '1 semop semget semctl semtimedop 11 msgsnd msgrcv msgget msgctl 21 shmat shmdt shmget shmctl',
};

/** A call that does another's work when its first argument says so. */
export interface Multiplexed {
  readonly number: number;
  readonly call: number;
}

let parsed: Map<string, Multiplexed> | undefined;

function parse(): Map<string, Multiplexed> {
  const all = new Map<string, Multiplexed>();
  for (const [name, call] of parseNumbers(functions.socketcall)) all.set(name, { number: 102, call });
  for (const [name, call] of parseNumbers(functions.ipc)) all.set(name, { number: 117, call });
  return all;
}

/** How else i386 can make the call of this name. */
export function multiplexed(name: string): Multiplexed | undefined {
  parsed ??= parse();
  return parsed.get(name);
}
