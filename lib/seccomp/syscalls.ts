import { arm } from './syscalls-arm.ts';
import { arm64 } from './syscalls-arm64.ts';
import { notInX32, x32Only } from './syscalls-x32.ts';
import { x64 } from './syscalls-x64.ts';
import { x86 } from './syscalls-x86.ts';

/** A way of calling the kernel that has a table of system calls of its own. */
export type Abi = 'x64' | 'x86' | 'x32' | 'arm64' | 'arm';

/** Splits a list of names that is written as text. */
export function words(text: string): string[] {
  return text.split(/\s+/).filter((word) => word !== '');
}

/** Reads a table: a number is the number of the name after it, and names without one count on from there. */
export function parseNumbers(text: string): Map<string, number> {
  const numbers = new Map<string, number>();
  let next = 0;
  for (const word of words(text)) {
    const first = word.charCodeAt(0);
    if (first >= 0x30 && first <= 0x39) next = Number(word);
    else numbers.set(word, next++);
  }
  return numbers;
}

function parseX32(): Map<string, number> {
  const numbers = new Map(syscallNumbers('x64'));
  for (const name of words(notInX32)) numbers.delete(name);
  for (const [name, number] of parseNumbers(x32Only)) numbers.set(name, number);
  return numbers;
}

const parsers: Record<Abi, () => Map<string, number>> = {
  x64: () => parseNumbers(x64),
  x86: () => parseNumbers(x86),
  x32: parseX32,
  arm64: () => parseNumbers(arm64),
  arm: () => parseNumbers(arm),
};

const parsed: Partial<Record<Abi, ReadonlyMap<string, number>>> = {};

/** The numbers of an ABI's system calls by name, parsed when first asked for. */
export function syscallNumbers(abi: Abi): ReadonlyMap<string, number> {
  parsed[abi] ??= parsers[abi]();
  return parsed[abi];
}
