import { type Check, id, integer, issuesOf, list, object, oneOf, record, required, text } from '../spec/shape.ts';

// The records of the data directory are ours, in directories of ours. All the same, one that a failing disk or another program
// has changed must not name what is elsewhere, nor end in an error that says nothing.

const anything: Check = () => undefined;

/** A name as a layer has it, relative and without a way up; a byte string. */
const below = text(/^(?!\/)(?!(?:.*\/)?\.\.(?:\/|$))/s, 'must lead down');
const size = integer(0, Number.MAX_SAFE_INTEGER);
const deviceNumber = integer(0, 0xffff_ffff);
const digest = text(/^[a-z0-9]+:[0-9a-f]{32,128}$/, 'must be a digest');
const mode = integer(0, 0o7777);
const byteText = text();

/** Pairs of a text and what belongs to it. */
const pairs = (key: Check, value: Check): Check => {
  const pair: Check = (each, path, report) => {
    if (!Array.isArray(each) || each.length !== 2) return report(path, 'must be a pair');
    key(each[0], path, report);
    value(each[1], path, report);
  };
  return list(pair);
};

/** Values of attributes are bytes, NULs among them. */
const bytes: Check = (value, path, report) => {
  if (typeof value !== 'string') report(path, 'must be a string');
};

const device = object({
  path: required(below),
  type: required(oneOf(['character', 'block'], 'type of device')),
  major: required(deviceNumber),
  minor: required(deviceNumber),
  mode: required(mode),
  uid: required(id),
  gid: required(id),
  mtime: required(integer(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER)),
  nanoseconds: required(integer(0, 999_999_999)),
  xattrs: required(pairs(byteText, bytes)),
});

const devices = list(device);

const layer = object({
  version: required(integer(1, 1)),
  chainId: required(digest),
  parent: digest,
  diffId: required(digest),
  digest: required(byteText),
  size: required(size),
  opaque: required(list(below)),
  attributes: pairs(below, pairs(byteText, bytes)),
  skipped: required(list(object({ path: required(below), layer: required(size), what: required(byteText) }))),
  devices,
  owners: required(list(object({ path: required(below), uid: required(id), gid: required(id), mode: required(mode) }))),
});

const map = list(object({ container: required(id), host: required(id), size: required(integer(1, 0xffff_ffff)) }));

/** Of a user namespace. */
export const maps = object({
  uids: required(map),
  gids: required(map),
  setgroups: required(oneOf(['allow', 'deny'], 'way')),
  by: required(oneOf(['write', 'newuidmap'], 'way')),
  origin: required(byteText),
});

const container = object({
  image: required(byteText),
  driver: required(oneOf(['overlay', 'fuse-overlayfs', 'copy'], 'driver')),
  layers: required(list(text(/^[0-9a-f]{64}(-[0-9a-f]{12})?$/, 'must be the name of a layer'))),
  snapshots: list(text(/^[0-9a-f]{64}$/, 'must be the id of a snapshot')),
  maps,
  command: list(byteText),
  config: record(anything),
  mountPoints: list(byteText),
});

const checks = { layer, container, devices } as const;

/** What a record of this kind says; undefined where it is none. */
export function recordOf(kind: keyof typeof checks, text: string | undefined): unknown {
  if (text === undefined) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return issuesOf(value, checks[kind]).length === 0 ? value : undefined;
  } catch {
    return undefined;
  }
}
