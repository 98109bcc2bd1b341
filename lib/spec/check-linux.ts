import type { Issue } from '../errors.ts';
import { majorMax, minorMax, resourcesShape } from './check-resources.ts';
import { seccompShape } from './check-seccomp.ts';
import { idMapFaults, idMappings, isMapped } from './id-maps.ts';
import { deviceKey } from './lookups.ts';
import { type NamespaceType, namespaceTypes } from './names.ts';
import { normalizePath } from './paths.ts';
import { pointerOf } from './pointer.ts';
import { type Rule, repeated } from './rules.ts';
import {
  absolutePath,
  anyText,
  boolean,
  id,
  int64,
  integer,
  list,
  numberList,
  object,
  oneOf,
  record,
  required,
  text,
} from './shape.ts';
import { sysctlFault } from './sysctl.ts';
import type { IdMapping, Linux, Spec } from './types.ts';

const propagations = ['private', 'shared', 'slave', 'unbindable', 'rprivate', 'rshared', 'rslave', 'runbindable'];

/** The words of `memoryPolicy.mode`. */
export const memoryPolicies = [
  'MPOL_DEFAULT',
  'MPOL_PREFERRED',
  'MPOL_BIND',
  'MPOL_INTERLEAVE',
  'MPOL_LOCAL',
  'MPOL_PREFERRED_MANY',
  'MPOL_WEIGHTED_INTERLEAVE',
];
/** The words of `memoryPolicy.flags`. */
export const memoryPolicyFlags = ['MPOL_F_STATIC_NODES', 'MPOL_F_RELATIVE_NODES', 'MPOL_F_NUMA_BALANCING'];

/** IFNAMSIZ less its NUL; `%d` in the new name asks the kernel for the next free number. */
const interfaceName = text(/^(?!\.{1,2}$)[^/:\s]{1,15}$/, 'must be the name of a network interface');

/** Each part is a directory; `..` would lead out of what was delegated to us, and some runtimes have followed it. */
const cgroupsPath = text(
  /^(?!.*(^|\/)\.\.(\/|$))(?!.*[^/]{256})[^\n]*$/s,
  'must be a path of cgroups without "..", line breaks, and names of more than 255 characters',
);

const oneLine = text(/^[^\n]*$/, 'must be one line');

/** The fields of `linux`, one by one. */
export const linuxShape = object({
  namespaces: list(
    object({ type: required(oneOf(namespaceTypes, 'namespace')), path: text(/^(\/|$)/, 'must be an absolute path') }),
  ),
  uidMappings: idMappings,
  gidMappings: idMappings,
  timeOffsets: record(
    object({ secs: int64, nanosecs: integer(0, 999_999_999) }),
    oneOf(['monotonic', 'boottime'], 'clock'),
  ),
  devices: list(
    object({
      type: required(oneOf(['c', 'b', 'u', 'p'], 'device type')),
      path: required(absolutePath),
      major: integer(0, majorMax),
      minor: integer(0, minorMax),
      fileMode: integer(0, 0o177777),
      uid: id,
      gid: id,
    }),
  ),
  netDevices: record(object({ name: interfaceName }), interfaceName),
  cgroupsPath,
  resources: resourcesShape,
  intelRdt: object({
    closID: text(/^(\/|(?!\.{1,2}$)[^/\n]+)$/, 'must be the name of a directory, or "/"'),
    schemata: list(oneLine),
    l3CacheSchema: anyText,
    memBwSchema: text(/^MB:[^\n]*$/, 'must be one line that begins with "MB:"'),
    enableMonitoring: boolean,
    enableCMT: boolean,
    enableMBM: boolean,
  }),
  memoryPolicy: object({
    mode: required(oneOf(memoryPolicies, 'memory policy')),
    nodes: numberList,
    flags: list(oneOf(memoryPolicyFlags, 'memory policy flag')),
  }),
  sysctl: record(anyText),
  seccomp: seccompShape,
  rootfsPropagation: oneOf(propagations, 'propagation'),
  maskedPaths: list(absolutePath),
  readonlyPaths: list(absolutePath),
  mountLabel: anyText,
  personality: object({
    domain: required(oneOf(['LINUX', 'LINUX32'], 'personality')),
    // The specification has none yet.
    flags: list(oneOf([], 'personality flag')),
  }),
});

/** The namespace types in the list: of the container's own, new or joined. */
export function ownNamespaces(linux: Linux): ReadonlySet<NamespaceType> {
  return new Set(linux.namespaces.map(({ type }) => type));
}

const isNew = (linux: Linux, type: NamespaceType): boolean =>
  linux.namespaces.some(
    (namespace) => namespace.type === type && (namespace.path === undefined || namespace.path === ''),
  );

const namespaces = '/linux/namespaces';
const maps = ['uidMappings', 'gidMappings'] as const;
const mapPaths = maps.map((key) => `/linux/${key}`);

/** `field` is given: then the namespaces must be such that it can hold. */
function needsNamespace(
  field: string,
  given: (spec: Spec) => boolean,
  ok: (linux: Linux) => boolean,
  message: string,
): Rule {
  return {
    needs: [namespaces, field],
    check: (spec) => (given(spec) && !ok(spec.linux) ? [{ path: field, message }] : []),
  };
}

/** What set_mempolicy(2) would answer with no more than EINVAL. */
function memoryPolicyFaults({ memoryPolicy }: Linux): Issue[] {
  if (memoryPolicy === undefined) return [];
  const { mode, nodes = '', flags = [] } = memoryPolicy;
  const issues: Issue[] = [];
  const say = (key: string, message: string) => issues.push({ path: `/linux/memoryPolicy/${key}`, message });
  const nodeless = mode === 'MPOL_DEFAULT' || mode === 'MPOL_LOCAL';
  if (nodeless && nodes !== '') say('nodes', `must be empty for ${mode}, not ${JSON.stringify(nodes)}`);
  if (nodeless && flags.length > 0) say('flags', `must be empty for ${mode}`);
  if (!nodeless && mode !== 'MPOL_PREFERRED' && nodes === '') say('nodes', `must name a node for ${mode}`);
  if (mode === 'MPOL_PREFERRED' && nodes === '' && flags.length > 0) say('flags', 'need a node');
  if (flags.includes('MPOL_F_STATIC_NODES') && flags.includes('MPOL_F_RELATIVE_NODES')) {
    say('flags', 'must have one of MPOL_F_STATIC_NODES and MPOL_F_RELATIVE_NODES at most');
  }
  if (flags.includes('MPOL_F_NUMA_BALANCING') && mode !== 'MPOL_BIND' && mode !== 'MPOL_PREFERRED_MANY') {
    say('flags', `MPOL_F_NUMA_BALANCING is for MPOL_BIND and MPOL_PREFERRED_MANY, not for ${mode}`);
  }
  return issues;
}

/** One path cannot be two devices; callers that list the same one twice mean no harm. */
function deviceFaults({ devices = [] }: Linux): Issue[] {
  const known = new Map<string, string>();
  return devices.flatMap((device, i) => {
    const path = normalizePath(device.path);
    const is = device.type === 'p' ? 'fifo' : deviceKey(device);
    const before = known.get(path);
    if (before === undefined) known.set(path, is);
    if (before === undefined || before === is) return [];
    return [
      { path: pointerOf('linux', 'devices', i, 'path'), message: `${device.path} is in the list as ${before} already` },
    ];
  });
}

/** What must hold between fields of `linux`, and of others with its namespaces. */
export const linuxRules: readonly Rule[] = [
  {
    // Every mount of the container would be one of the host, and stay.
    needs: [namespaces],
    check: ({ linux }) =>
      linux.namespaces.some(({ type }) => type === 'mount')
        ? []
        : [{ path: namespaces, message: 'must have a mount namespace: {"type": "mount"}' }],
  },
  {
    needs: [namespaces],
    check: ({ linux }) =>
      repeated(linux.namespaces, ({ type }) => type).map((i) => ({
        path: pointerOf('linux', 'namespaces', i, 'type'),
        message: `the ${linux.namespaces[i]!.type} namespace is in the list twice`,
      })),
  },
  ...(['hostname', 'domainname'] as const).map((key) =>
    needsNamespace(
      `/${key}`,
      (spec) => spec[key] !== undefined && spec[key] !== '',
      (linux) => ownNamespaces(linux).has('uts'),
      'needs a uts namespace, or it would change the name of the host',
    ),
  ),
  ...maps.map((key) =>
    needsNamespace(
      `/linux/${key}`,
      ({ linux }) => (linux[key] ?? []).length > 0,
      (linux) => ownNamespaces(linux).has('user'),
      'needs a user namespace',
    ),
  ),
  needsNamespace(
    '/linux/timeOffsets',
    ({ linux }) => Object.keys(linux.timeOffsets ?? {}).length > 0,
    (linux) => isNew(linux, 'time'),
    'needs a new time namespace',
  ),
  needsNamespace(
    '/linux/netDevices',
    ({ linux }) => Object.keys(linux.netDevices ?? {}).length > 0,
    (linux) => ownNamespaces(linux).has('network'),
    'needs a network namespace',
  ),
  { needs: [mapPaths[0]!], check: ({ linux }) => idMapFaults(linux.uidMappings ?? [], mapPaths[0]!) },
  { needs: [mapPaths[1]!], check: ({ linux }) => idMapFaults(linux.gidMappings ?? [], mapPaths[1]!) },
  {
    needs: mapPaths,
    check: ({ linux: { uidMappings = [], gidMappings = [] } }) =>
      uidMappings.length > 0 === gidMappings.length > 0
        ? []
        : [{ path: '/linux', message: 'uidMappings and gidMappings are given together or not at all' }],
  },
  { needs: [...mapPaths, '/process/user'], check: unmapped },
  {
    needs: ['/linux/devices'],
    check: ({ linux }) =>
      (linux.devices ?? []).flatMap((device, i) =>
        (['major', 'minor'] as const)
          .filter((key) => device.type !== 'p' && device[key] === undefined)
          .map((key) => ({ path: pointerOf('linux', 'devices', i, key), message: 'is required' })),
      ),
  },
  { needs: ['/linux/devices'], check: ({ linux }) => deviceFaults(linux) },
  { needs: ['/linux/memoryPolicy'], check: ({ linux }) => memoryPolicyFaults(linux) },
  {
    needs: ['/linux/sysctl', namespaces],
    check: ({ linux }) => {
      const own = ownNamespaces(linux);
      return Object.keys(linux.sysctl ?? {}).flatMap((name) => {
        const message = sysctlFault(name, own);
        return message === undefined ? [] : [{ path: pointerOf('linux', 'sysctl', name), message }];
      });
    },
  },
];

/** The kernel says no more than EINVAL when a process takes an id that its user namespace does not have. */
function unmapped({ linux: { uidMappings = [], gidMappings = [] }, process }: Spec): Issue[] {
  if (process === undefined) return [];
  const { uid, gid, additionalGids = [] } = process.user;
  const issues: Issue[] = [];
  const ask = (mappings: typeof uidMappings, id: number, path: string, list: string): void => {
    if (mappings.length === 0 || isMapped(mappings, id)) return;
    const remedy =
      'map it as well (an ordinary user, with subordinate ids of /etc/subuid and /etc/subgid), or take another';
    issues.push({ path, message: `${id} is not in ${list}, which have ${rangesOf(mappings)}: ${remedy}` });
  };
  ask(uidMappings, uid, '/process/user/uid', 'uidMappings');
  ask(gidMappings, gid, '/process/user/gid', 'gidMappings');
  additionalGids.forEach((id, i) => {
    ask(gidMappings, id, pointerOf('process', 'user', 'additionalGids', i), 'gidMappings');
  });
  return issues;
}

const rangesOf = (mappings: readonly IdMapping[]) =>
  mappings
    .map(({ containerID, size }) => (size === 1 ? `${containerID}` : `${containerID}-${containerID + size - 1}`))
    .join(', ');
