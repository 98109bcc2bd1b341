import { maps } from '../../layers/record-checks.ts';
import {
  anyText,
  boolean,
  type Check,
  integer,
  list,
  object,
  oneOf,
  record,
  required,
  someText,
  text,
} from '../../spec/shape.ts';

// As other records of the data directory: one that was damaged must not name what is elsewhere, for what it names is killed,
// or removed.

const anything: Check = () => undefined;
const containerId = text(/^[0-9a-f]{64}$/, 'must be an id');
const cgroupPath = text(/^\/(?!.*(?:^|\/)\.\.(?:\/|$))/s, 'must be a path that does not climb');
const count = integer(0, Number.MAX_SAFE_INTEGER);
/** PID_MAX_LIMIT. */
const pid = integer(1, 4_194_304);

const mapsOrNone: Check = (value, path, report) => {
  if (value !== 'none') maps(value, path, report);
};

const request = object({
  id: required(containerId),
  spec: required(object({ linux: required(record(anything)), process: required(record(anything)) })),
  root: required(object({ kind: required(oneOf(['directory', 'host', 'overlay'], 'kind of root')) })),
  outlive: required(object({ segments: required(integer(1, 16)), bytesMax: required(count) })),
});

const mounted = object({ path: required(someText), device: required(anyText), boot: required(anyText) });

const container = object({
  id: required(containerId),
  name: required(someText),
  created: required(anyText),
  request: required(request),
  command: required(list(anyText)),
  stopSignal: required(integer(1, 64)),
  labels: required(record(anyText)),
  image: object({ digest: required(anyText) }),
  volumes: required(
    list(
      object({
        name: required(text(/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/, 'must be the name of a volume')),
        anonymous: required(boolean),
        mounted,
      }),
    ),
  ),
  unpacked: mapsOrNone,
  restart: required(
    object({
      policy: required(oneOf(['no', 'on-failure', 'always', 'unless-stopped'], 'restart policy')),
      retries: count,
    }),
  ),
  ownTime: boolean,
});

const state = object({
  process: object({ pid: required(pid), startTime: required(anyText), boot: required(anyText) }),
  cgroup: object({
    driver: required(oneOf(['cgroupfs', 'systemd'], 'driver')),
    path: required(cgroupPath),
    made: required(list(cgroupPath)),
    unit: anyText,
    manager: oneOf(['system', 'user'], 'manager'),
  }),
  maps,
  mounted: record(mounted),
  wanted: required(boolean),
  restarts: required(count),
});

/** What is to be in them, beside their version. */
export const recordShapes = { container, state } as const satisfies Record<string, Check>;
