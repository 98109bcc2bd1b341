import { type Abi, parseNumbers, words } from '../seccomp/syscalls.ts';
import { arm } from '../seccomp/syscalls-arm.ts';
import { arm64 } from '../seccomp/syscalls-arm64.ts';
import { notInX32, x32Only } from '../seccomp/syscalls-x32.ts';
import { x64 } from '../seccomp/syscalls-x64.ts';
import { x86 } from '../seccomp/syscalls-x86.ts';

/*
 * In the place of lib/seccomp/syscalls.ts: the tables are in the snapshot, and a map has 88 bytes for each of its entries, an
 * object 24, with names that all tables share.
 */

export { parseNumbers, words };

interface Numbers {
  readonly get: (name: string) => number | undefined;
}

type Table = Record<string, number | undefined>;

const texts = { x64, x86, arm64, arm } as const;
const made: Partial<Record<Abi, Table>> = {};

function table(abi: Abi): Table {
  made[abi] ??= abi === 'x32' ? x32() : withNumbers(Object.create(null), texts[abi]);
  return made[abi];
}

function withNumbers(numbers: Table, text: string): Table {
  for (const [name, number] of parseNumbers(text)) numbers[name] = number;
  return numbers;
}

/** Those of x64, but for the ones that it has not, or has others of. */
function x32(): Table {
  const numbers: Table = Object.create(table('x64'));
  for (const name of words(notInX32)) numbers[name] = undefined;
  return withNumbers(numbers, x32Only);
}

/** The numbers of an ABI's system calls by name. */
export function syscallNumbers(abi: Abi): Numbers {
  const numbers = table(abi);
  return { get: (name) => numbers[name] };
}
