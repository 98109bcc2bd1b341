import { readFile } from 'node:fs/promises';
import type { GoesWith } from '../host/lifetime.ts';

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
  const text = await readFile(`${directory}/${recordFileName}`, 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  try {
    const record = JSON.parse(text) as VolumeRecord;
    return record.version === 1 && typeof record.name === 'string' && typeof record.driver === 'string'
      ? record
      : undefined;
  } catch {
    return undefined;
  }
}
