import { RuntsError } from '../errors.ts';
import { show } from './shape.ts';

/** Signals 1 to 31 of Linux on x86-64 and arm64, in order. */
const names = `
  HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP
  TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS
`
  .trim()
  .split(/\s+/)
  .map((word) => `SIG${word}`);

const aliases: Readonly<Record<string, number>> = { SIGIOT: 6, SIGCLD: 17, SIGPOLL: 29, SIGUNUSED: 31 };

/** The first real-time signal that libc leaves to programs: it keeps 32 and 33 for its threads. */
const rtMin = 34;
const rtMax = 64;

const numbers = new Map<string, number>([
  ...names.map((name, index): [string, number] => [name, index + 1]),
  ...Object.keys(aliases).map((name): [string, number] => [name, aliases[name]!]),
  ['SIGRTMIN', rtMin],
  ['SIGRTMAX', rtMax],
]);

/** Every signal that has a name of its own, for suggestions. */
export const signalNames: readonly string[] = [...numbers.keys()];

/**
 * The number of `SIGTERM`, `TERM`, `term`, `15` or `RTMIN+3`; undefined for what is no signal.
 * `0` is one: it asks whether the process is there. Whoever cannot use it refuses it.
 */
export function signalNumber(signal: string | number): number | undefined {
  if (typeof signal !== 'string' && typeof signal !== 'number') return undefined;
  const word = String(signal).toUpperCase();
  if (/^(SIG)?[0-9]{1,2}$/.test(word)) {
    const number = Number(word.replace('SIG', ''));
    return number <= rtMax ? number : undefined;
  }
  const name = word.startsWith('SIG') ? word : `SIG${word}`;
  const offset = /^SIG(RTMIN\+|RTMAX-)([0-9]{1,2})$/.exec(name);
  if (offset === null) return numbers.get(name);
  const steps = Number(offset[2]);
  const number = offset[1] === 'RTMIN+' ? rtMin + steps : rtMax - steps;
  return number >= rtMin && number <= rtMax ? number : undefined;
}

/** The canonical name of signal 1 to 64: `SIGTERM`, `SIGRTMIN+3`, `SIG32` for libc's own; undefined beyond. */
export function signalName(number: number): string | undefined {
  if (!Number.isInteger(number) || number < 1 || number > rtMax) return undefined;
  if (number <= names.length) return names[number - 1];
  if (number < rtMin) return `SIG${number}`;
  return number === rtMin ? 'SIGRTMIN' : number === rtMax ? 'SIGRTMAX' : `SIGRTMIN+${number - rtMin}`;
}

/** The number of a signal that is to be sent. */
export function sentSignal(signal: string): number {
  const number = signalNumber(signal);
  if (number !== undefined && number > 0) return number;
  throw new RuntsError('ERR_SPEC', `unknown signal ${show(signal)}`);
}
