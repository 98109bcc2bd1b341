import type { GoesWith } from '../host/lifetime.ts';
import { readRecordText } from '../layers/record-file.ts';
import { isObject } from '../spec/shape.ts';

export type Scope = 'local' | 'global';

/** What is kept of a volume, in `<data>/volumes/<name>/volume.json`. */
export interface VolumeRecord {
  readonly version: 1;
  readonly name: string;
  readonly driver: string;
  readonly options: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  /** RFC 3339. */
  readonly created: string;
  readonly scope: Scope;
  /** Nobody has named it. */
  readonly anonymous: boolean;
  /** Its driver has not said yet that it is there: if nobody has its lock, whoever made it is gone. */
  readonly making?: true;
  readonly goesWith?: GoesWith;
  /** Its driver had it before anybody here asked for it: it is the driver's to remove. */
  readonly found?: true;
}

export const recordFileName = 'volume.json';

/** Undefined where there is none, or one that is not ours to understand. */
export async function readRecord(directory: string): Promise<VolumeRecord | undefined> {
  const text = await readRecordText(`${directory}/${recordFileName}`);
  if (text === undefined) return undefined;
  try {
    const record: unknown = JSON.parse(text);
    return isRecord(record) ? record : undefined;
  } catch {
    return undefined;
  }
}

function isRecord(value: unknown): value is VolumeRecord {
  if (!isObject(value)) return false;
  const { version, name, driver, options, labels, created, scope, anonymous, goesWith } = value;
  const isText = (each: unknown) => typeof each === 'string';
  const areTexts = (each: unknown) => isObject(each) && Object.values(each).every(isText);
  return (
    [name, driver, created].every(isText) &&
    [options, labels].every(areTexts) &&
    version === 1 &&
    (scope === 'local' || scope === 'global') &&
    typeof anonymous === 'boolean' &&
    (goesWith === undefined || (Array.isArray(goesWith) && goesWith.every(isText)))
  );
}
