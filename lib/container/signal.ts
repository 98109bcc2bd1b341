import { RuntsError } from '../errors.ts';
import { signalNumber } from '../spec/signals.ts';

/** The number of a signal that somebody has named. */
export function numberOf(signal: string): number {
  const number = signalNumber(signal);
  if (number !== undefined && number > 0) return number;
  throw new RuntsError('ERR_SPEC', `unknown signal ${JSON.stringify(signal)}`);
}
