import { RuntsError, specError } from '../errors.ts';
import { readRecordText } from '../layers/record-file.ts';
import { isShortage } from '../layers/shortage.ts';
import { hasOwn } from '../spec/own.ts';
import { isObject, show } from '../spec/shape.ts';

/** How many volumes there may be. */
export interface VolumeLimits {
  /** In the store. Default 10,000. */
  readonly max?: number | undefined;
  /** Of one driver, by its name. */
  readonly maxByDriver?: Readonly<Record<string, number>> | undefined;
}

export const volumesMaxDefault = 10_000;
export const limitsFileName = '.limits.json';

/** What is wrong with limits that somebody gave is told, all of it. */
export function checkLimits(limits: VolumeLimits): VolumeLimits {
  const given: unknown = limits;
  if (!isObject(given) || !isObject(given['maxByDriver'] ?? {})) {
    const message = `must be an object with max and maxByDriver, which is one by driver, not ${show(given)}`;
    throw specError('cannot limit the number of volumes', [{ path: '', message }]);
  }
  const { max, maxByDriver = {} } = limits;
  const all = [
    ['/max', max] as const,
    ...Object.entries(maxByDriver).map(([k, v]) => [`/maxByDriver/${k}`, v] as const),
  ];
  const issues = all
    .filter(([, value]) => value !== undefined && !(Number.isSafeInteger(value) && value >= 0))
    .map(([path, value]) => ({ path, message: `must be a number of volumes, not ${JSON.stringify(value)}` }));
  if (issues.length > 0) throw specError('cannot limit the number of volumes', issues);
  return limits;
}

/** Those that a store has for everybody who uses it. A file that is damaged is no reason to forget them. */
export async function readLimits(store: string): Promise<VolumeLimits> {
  const path = `${store}/${limitsFileName}`;
  try {
    return checkLimits(JSON.parse((await readRecordText(path)) ?? '{}') as VolumeLimits);
  } catch (cause) {
    if (isShortage(cause)) throw cause;
    throw new RuntsError('ERR_SETUP', `cannot read the limits of the store of volumes: ${path} is damaged`, {
      hint: 'Correct it, or remove it and set the limits anew.',
      cause,
    });
  }
}

/** A volume that is to be made, and how many there are: in the store, and of its driver. */
export interface Wanted {
  readonly name: string;
  readonly driver: string;
  readonly count: number;
  readonly ofDriver: number;
}

/** Throws where one volume more is one too many; all of the limits hold. */
export function mustHaveRoom({ name, driver, count, ofDriver }: Wanted, limits: readonly VolumeLimits[]): void {
  const stated = limits.flatMap(({ max }) => (max === undefined ? [] : [max]));
  const max = stated.length === 0 ? volumesMaxDefault : Math.min(...stated);
  if (count >= max) throw full(name, `the store has ${count} of at most ${max} volumes`);
  const most = limits.flatMap(({ maxByDriver = {} }) => (hasOwn(maxByDriver, driver) ? [maxByDriver[driver]!] : []));
  if (ofDriver < Math.min(...most)) return;
  throw full(name, `there are ${ofDriver} of at most ${Math.min(...most)} volumes of the driver ${driver}`);
}

const full = (name: string, why: string) =>
  new RuntsError('ERR_STATE', `cannot make the volume ${name}: ${why}`, {
    hint: 'Remove volumes that are not needed (`runts volume prune`), or raise the limit.',
  });
