import { Refused } from '../layers/refused.ts';
import type { Healthcheck, ImageConfig } from '../spec/image-config.ts';
import { checkDigest } from './digest.ts';
import { array, boolean, type JsonObject, object, optional, parseJson, string, wrongType } from './json.ts';
import { historyMax, layersMax } from './limits.ts';
import type { Platform } from './source.ts';

/** An image's configuration document, checked. */
export interface ConfigDocument {
  readonly config: ImageConfig;
  readonly platform: Platform;
  readonly diffIds: readonly string[];
  /** RFC 3339, as its maker wrote it. */
  readonly created: string | undefined;
  readonly history: readonly HistoryEntry[];
  /** All of it as it stands there: what is kept when another is made of it. */
  readonly raw: JsonObject;
}

/** One step of how an image was made. */
export interface HistoryEntry {
  readonly created?: string | undefined;
  readonly created_by?: string | undefined;
  readonly author?: string | undefined;
  readonly comment?: string | undefined;
  /** It changed the configuration only: no layer belongs to it. */
  readonly empty_layer?: boolean | undefined;
}

const stringsMax = 10_000;

/** Not negative: a time, or how often. */
function wholeNumber(value: unknown, what: string): number {
  if (!Number.isSafeInteger(value) || (value as number) < 0) throw wrongType(value, what, 'a whole number');
  return value as number;
}

type Reader = (value: unknown, what: string) => unknown;

function strings(value: unknown, what: string): readonly string[] {
  return array(value, what, stringsMax).map((item, index) => string(item, `${what}[${index}]`));
}

/** A set, as Go writes one: `{"80/tcp": {}}`. */
function emptyObjects(value: unknown, what: string): Readonly<Record<string, object>> {
  return mapOf(value, what, (item, where) => object(item ?? {}, where));
}

function mapOf<T>(
  value: unknown,
  what: string,
  read: (value: unknown, what: string) => T,
): Readonly<Record<string, T>> {
  const entries = Object.entries(object(value, what));
  if (entries.length > stringsMax) throw new Refused(`${what} has ${entries.length} items; the limit is ${stringsMax}`);
  // Object.fromEntries defines: a key named __proto__ is a key like any other.
  return Object.fromEntries(entries.map(([key, item]) => [string(key, what), read(item, `${what}.${key}`)]));
}

const healthFields: Record<keyof Healthcheck, Reader> = {
  Test: strings,
  ...{ Interval: wholeNumber, Timeout: wholeNumber, StartPeriod: wholeNumber, StartInterval: wholeNumber },
  Retries: wholeNumber,
};

/** The fields that mean something to a runtime. */
const fields: Record<keyof ImageConfig, Reader> = {
  Env: strings,
  Cmd: strings,
  Entrypoint: strings,
  WorkingDir: string,
  User: string,
  StopSignal: string,
  ExposedPorts: emptyObjects,
  Volumes: emptyObjects,
  Labels: (value, what) => mapOf(value, what, string),
  Healthcheck: (value, what) => readObject(object(value, what), healthFields, what),
};

/** Reads a configuration strictly: a value of the wrong type is refused, never taken for an absent one. */
export function readConfig(bytes: Buffer): ConfigDocument {
  const document = object(parseJson(bytes, 'the configuration'), 'the configuration');
  const rootfs = object(document['rootfs'], 'rootfs');
  if (rootfs['type'] !== 'layers') throw wrongType(rootfs['type'], 'rootfs.type', '"layers"');
  const diffIds = optional(rootfs['diff_ids'], 'rootfs.diff_ids', (value, what) => array(value, what, layersMax)) ?? [];
  return {
    config: readObject(optional(document['config'], 'config', object) ?? {}, fields, 'config') as ImageConfig,
    platform: {
      os: string(document['os'], 'os'),
      architecture: string(document['architecture'], 'architecture'),
    },
    diffIds: diffIds.map((id, index) => checkDigest(id, `rootfs.diff_ids[${index}]`)),
    created: optional(document['created'], 'created', string),
    history: optional(document['history'], 'history', readHistory) ?? [],
    raw: document,
  };
}

const historyFields: Record<keyof HistoryEntry, Reader> = {
  created: string,
  created_by: string,
  author: string,
  comment: string,
  empty_layer: boolean,
};

function readHistory(value: unknown, what: string): readonly HistoryEntry[] {
  return array(value, what, historyMax).map((item, index) => {
    const where = `${what}[${index}]`;
    return readObject(object(item, where), historyFields, where);
  });
}

function readObject(from: JsonObject, readers: Readonly<Record<string, Reader>>, what: string): object {
  const read: Record<string, unknown> = {};
  for (const [key, reader] of Object.entries(readers)) {
    const value = optional(from[key], `${what}.${key}`, reader);
    if (value !== undefined) read[key] = value;
  }
  return read;
}
