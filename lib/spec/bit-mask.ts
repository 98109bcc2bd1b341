import { RuntsError } from '../errors.ts';

/** More processors or nodes than any kernel is built for. */
const numberMax = 65_535;

/** A list of numbers such as `0-3,7` or `0-31:2/4` (of every 4, the first 2) as a bit mask, lowest byte first. */
export function bitMask(list: string, origin: string): Uint8Array {
  const numbers = list
    .split(',')
    .filter((part) => part !== '')
    .flatMap((part) => numbersOf(part, origin));
  const bytes = new Uint8Array(numbers.length === 0 ? 0 : Math.floor(Math.max(...numbers) / 8) + 1);
  for (const number of numbers) bytes[number >> 3]! |= 1 << (number & 7);
  return bytes;
}

function numbersOf(part: string, origin: string): number[] {
  const [, first, last, used, group] = (/^(\d+)(?:-(\d+)(?::(\d+)\/(\d+))?)?$/.exec(part) ?? []).map(Number);
  const from = first ?? Number.NaN;
  const to = last === undefined || Number.isNaN(last) ? from : last;
  if (!(from <= to && to <= numberMax)) throw bad(`"${part}" is no range of numbers up to ${numberMax}`, origin);
  const all = Array.from({ length: to - from + 1 }, (_, i) => from + i);
  if (used === undefined || group === undefined || Number.isNaN(used)) return all;
  if (used < 1 || used > group) throw bad(`"${part}" takes ${used} of every ${group}`, origin);
  return all.filter((_, i) => i % group < used);
}

function bad(message: string, origin: string): RuntsError {
  return new RuntsError('ERR_SPEC', `cannot read a list of numbers: ${message}`, {
    origin,
    issues: [{ path: origin, message }],
    hint: 'It is written like "0-3,7".',
  });
}
