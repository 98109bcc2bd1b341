import { stringifyJson } from '../../lib/spec/json.ts';
import { parsePointer } from '../../lib/spec/pointer.ts';
import { full } from '../unit/spec/full.ts';
import type { Config } from './place.ts';
import { changed, places, type Spoilt, spoilt, withRaw } from './spoil.ts';

/** One field of config.json with a value that it cannot, or should not, have. */
export interface FieldCase extends Spoilt {
  readonly path: string;
  /** The text of a configuration that works but for this field. */
  readonly text: (good: Config) => string;
}

/** A configuration of every field, none of which is one of this machine's: what a case is let do, it does. */
function every(): Config {
  const config: Config = full();
  config.linux.netDevices = { nosuch0: { name: 'container%d' } };
  config.linux.cgroupsPath = 'runts-test-malformed/box';
  return config;
}

/** Every field with everything that `spoilt` has for it. */
export function fieldCases(): FieldCase[] {
  const whole = every();
  return places(whole).flatMap((path) =>
    spoilt(whole, path).map((each) => ({
      ...each,
      path,
      text: (good) => withRaw(stringifyJson(graft(good, whole, path, each.value))),
    })),
  );
}

/** A configuration that works, with one part of the whole one in it, in which one thing is spoilt. */
function graft(good: Config, whole: Config, path: string, value: unknown): Config {
  const from = changed(whole, path, value);
  const keys = parsePointer(path)!.slice(0, path.startsWith('/linux/resources') ? 3 : 2);
  return inserted(good, from, keys[0] === 'mounts' ? ['mounts'] : keys);
}

/** `into` with what `from` has at the end of these keys, or on the way where that is no object. */
function inserted(into: Config, from: Config, [key, ...more]: readonly string[]): Config {
  const value = from[key!];
  const deeper = more.length > 0 && typeof value === 'object' && value !== null && !Array.isArray(value);
  return { ...into, [key!]: deeper ? inserted(into?.[key!], value, more) : value };
}

export const nameOf = ({ path, value }: FieldCase): string => {
  const text = stringifyJson(typeof value === 'object' ? JSON.parse(JSON.stringify(value)) : value);
  return `${path} = ${text.length > 40 ? `${text.slice(0, 40)}…` : text}`;
};
