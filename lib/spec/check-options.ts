import type { Issue } from '../errors.ts';
import { parseBytes } from './bytes.ts';
import { detachedFaults } from './detached.ts';
import { idMapFaults } from './id-maps.ts';
import { capabilityBit, capabilityHint, containerIdFault, didYouMean, signalNames, signalNumber } from './names.ts';
import { hasOwn } from './own.ts';
import { normalizePath } from './paths.ts';
import { pointer } from './pointer.ts';
import { repeated } from './rules.ts';
import {
  absolutePath,
  anyText,
  atMost,
  boolean,
  type Check,
  closed,
  either,
  type Fields,
  fine,
  id,
  integer,
  isBoolean,
  isNumber,
  isObject,
  isString,
  issuesOf,
  list,
  numberList,
  object,
  oneOf,
  record,
  required,
  show,
  someText,
  text,
} from './shape.ts';
import { userFault } from './users.ts';

/** A check by a function that gives the end of the message, or nothing. */
function judged(fault: (value: string) => string | undefined): Check {
  return (value, path, report) => {
    const before = issuesOf(value, anyText, path);
    for (const issue of before) report(issue.path, issue.message);
    const message = before.length > 0 ? undefined : fault(value as string);
    if (message !== undefined) report(path, message);
  };
}

/** More than execve(2) takes in arguments and variables, and than a mount namespace may have mounts (fs.mount-max). */
const itemsMax = 100_000;

/** A command and its arguments, or a part of them. */
export const words = (min: number): Check => atMost(itemsMax, list(anyText, min));

/** A size of at least so many bytes, as `parseBytes` reads it. */
export function bytes(min: number): Check {
  return (value, path, report) => {
    const size = parseBytes(value);
    if (size === undefined) report(path, `must be a number of bytes, or a size such as "512m", not ${show(value)}`);
    else if (size < min) report(path, `must be at least ${min} bytes, not ${show(value)}`);
  };
}

/** The letters of RFC 1123, and the underscore that people use all the same. */
export const hostname = text(
  /^(?=.{1,64}$)[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?$/,
  'must be a host name of at most 64 characters: letters, digits, "-" and "."',
);

/** A signal that can be sent, by name or number: 0 only asks. */
export const signal: Check = either(
  [
    [
      (value) => isString(value) || isNumber(value),
      (value, path, report) => {
        const number = signalNumber(value as string | number);
        if (number !== undefined && number > 0) return;
        report(path, `unknown signal ${show(value)}${didYouMean(String(value), signalNames)}`);
      },
    ],
  ],
  'the name of a signal',
);

const stdio = either(
  [
    [isString, oneOf(['ignore', 'pipe', 'inherit'], 'kind of stream')],
    [isNumber, integer(0, 0x7fff_ffff)],
  ],
  '"ignore", "pipe", "inherit" or a file descriptor',
);

const restartPolicies = ['no', 'on-failure', 'always', 'unless-stopped'];
const callback = either([[(value) => typeof value === 'function', fine]], 'a function');
const port = integer(1, 65535);
const variableName = text(/^[^=]+$/, 'must be the name of a variable');
const named = object({ name: required(someText) });
const readonlyFlag = { readonly: boolean };

/** Milliseconds: what a timer and a time namespace can hold. */
const clockMs = integer(-1e15, 1e15);

const mountTarget: Check = (value, path, report) => {
  absolutePath(value, path, report);
  if (isString(value) && normalizePath(value as string) === '/') report(path, 'must not be the root');
};

/** Docker's names of volumes. */
const volumeName = text(
  /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}$/,
  'must be made of letters, digits, "_", "." and "-", beginning with a letter or digit',
);

const mountKinds: Readonly<Record<string, Check>> = {
  bind: closed({ type: fine, source: required(someText), target: required(mountTarget), ...readonlyFlag }, 'key'),
  volume: closed(
    {
      type: fine,
      source: either(
        [
          [isString, volumeName],
          [isObject, named],
        ],
        'the name of a volume',
      ),
      target: required(mountTarget),
      copy: boolean,
      ...readonlyFlag,
    },
    'key',
  ),
  tmpfs: closed({ type: fine, target: required(mountTarget), size: bytes(1), mode: integer(0, 0o7777) }, 'key'),
};

const mount: Check = (value, path, report) => {
  if (!isObject(value)) return report(path, `must be an object, not ${show(value)}`);
  const { type } = value;
  const kind = isString(type) && hasOwn(mountKinds, type as string);
  if (kind) mountKinds[type as string]!(value, path, report);
  else if (type === undefined) report(pointer(path, 'type'), 'is required: "bind", "volume" or "tmpfs"');
  else oneOf(Object.keys(mountKinds), 'type of mount')(type, pointer(path, 'type'), report);
};

const mounts: Check = (value, path, report) => {
  const issues = issuesOf(value, list(mount), path);
  for (const issue of issues) report(issue.path, issue.message);
  if (issues.length > 0) return;
  const items = value as readonly { readonly target: string }[];
  for (const i of repeated(items, ({ target }) => normalizePath(target))) {
    report(pointer(pointer(path, i), 'target'), `is mounted twice: ${show(items[i]!.target)}`);
  }
};

const capability = judged((name) =>
  name === 'ALL' || capabilityBit(name) !== undefined
    ? undefined
    : `unknown capability ${show(name)}${capabilityHint(name)}`,
);

const mapOption = list(
  closed({ container: required(id), host: required(id), size: required(integer(1, 0xffff_ffff)) }, 'key'),
  1,
);

const idMaps: Check = (value, path, report) => {
  const issues = issuesOf(value, mapOption, path);
  if (issues.length === 0) {
    const maps = value as readonly { container: number; host: number; size: number }[];
    const mappings = maps.map(({ container, host, size }) => ({ containerID: container, hostID: host, size }));
    for (const issue of idMapFaults(mappings, path)) {
      issues.push({ ...issue, path: issue.path.replace('containerID', 'container').replace('hostID', 'host') });
    }
  }
  for (const issue of issues) report(issue.path, issue.message);
};

const limits = closed(
  {
    memory: bytes(1),
    swap: bytes(0),
    cpus: (value, path, report) => {
      // A hundredth is the least that the kernel's scheduler can give in a period of 100 ms.
      if (typeof value === 'number' && value >= 0.01 && value <= 8192) return;
      report(path, `must be a number from 0.01 to 8192, not ${show(value)}`);
    },
    pids: integer(1, 4_194_304),
    cpuset: numberList,
    io: list(closed({ device: required(absolutePath), readBps: bytes(1), writeBps: bytes(1) }, 'key')),
  },
  'limit',
  { cpu: 'cpus', mem: 'memory', processes: 'pids', memorySwap: 'swap' },
);

const sources: Fields = {
  image: someText,
  from: object({ id: required(someText) }),
  rootfs: someText,
  bundle: someText,
  host: either([[(value) => value === true, fine]], 'true where it is given'),
};

/** The options of a container, each by itself. */
export const optionChecks = {
  ...sources,
  pull: oneOf(['missing', 'always', 'never'], 'pull policy'),
  name: judged(containerIdFault),
  entrypoint: words(0),
  command: words(1),
  env: atMost(itemsMax, record(anyText, variableName)),
  cwd: absolutePath,
  user: judged((user) => {
    const fault = userFault(user);
    return fault === undefined ? undefined : `${fault}, not ${show(user)}`;
  }),
  hostname,
  labels: atMost(itemsMax, record(anyText)),
  mounts: atMost(itemsMax, mounts),
  ports: list(
    either(
      [
        [isNumber, port],
        [
          isObject,
          closed({ container: required(port), host: port, protocol: oneOf(['tcp', 'udp'], 'protocol') }, 'key'),
        ],
      ],
      'a port or {container, host?, protocol?}',
    ),
  ),
  network: either(
    [
      [isString, oneOf(['none', 'host', 'private'], 'network')],
      [isObject, named],
    ],
    '"none", "host", "private" or a network',
  ),
  limits,
  storage: closed({ size: required(bytes(1)) }, 'key'),
  capabilities: closed({ add: list(capability), drop: list(capability) }, 'key'),
  seccomp: either(
    [
      [isString, oneOf(['default', 'unconfined'], 'seccomp profile')],
      [isObject, object({ defaultAction: required(someText) })],
    ],
    '"default", "unconfined" or a profile',
  ),
  noNewPrivileges: boolean,
  readonly: boolean,
  userns: either(
    [
      [isString, oneOf(['auto', 'host'], 'user namespace')],
      [isObject, closed({ uids: required(idMaps), gids: required(idMaps) }, 'key')],
    ],
    '"auto", "host" or {uids, gids}',
  ),
  time: closed({ monotonic: clockMs, boottime: clockMs }, 'clock'),
  systemView: oneOf(['host', 'limits'], 'system view'),
  init: boolean,
  detached: boolean,
  log: closed({ maxSize: bytes(64 * 1024), maxFiles: integer(1, 16) }, 'key'),
  restart: either(
    [
      [isString, oneOf(restartPolicies, 'restart policy')],
      [
        isObject,
        closed({ policy: required(oneOf(restartPolicies, 'restart policy')), retries: integer(0, 1_000_000) }, 'key'),
      ],
    ],
    'a restart policy or {policy, retries?}',
  ),
  tty: either(
    [
      [isBoolean, fine],
      [isObject, closed({ columns: required(port), rows: required(port) }, 'key')],
    ],
    'true, false or {columns, rows}',
  ),
  stdin: stdio,
  stdout: stdio,
  stderr: stdio,
  stopSignal: signal,
  ready: callback,
  spec: callback,
  signal: object({ aborted: required(boolean), addEventListener: required(callback) }),
} satisfies Fields;

/** The options that `run` takes beside a container's. */
export const runOptionChecks: Fields = {
  input: either(
    [
      [isString, fine],
      [(value) => Object.prototype.toString.call(value) === '[object Uint8Array]', fine],
    ],
    'a string or a Uint8Array',
  ),
  // What a timer holds: beyond, Node fires at once.
  timeout: integer(1, 0x7fff_ffff),
  reject: boolean,
  maxOutput: bytes(1),
};

/** What other tools call our options, and what we call theirs. */
const renamed: Readonly<Record<string, string>> = {
  args: 'command',
  argv: 'command',
  cmd: 'command',
  workdir: 'cwd',
  workingDir: 'cwd',
  WorkingDir: 'cwd',
  environment: 'env',
  volumes: 'mounts',
  binds: 'mounts',
  tmpfs: 'mounts',
  hostName: 'hostname',
  net: 'network',
  networkMode: 'network',
  exposedPorts: 'ports',
  publish: 'ports',
  memory: 'limits.memory',
  cpus: 'limits.cpus',
  cpuset: 'limits.cpuset',
  pids: 'limits.pids',
  pidsLimit: 'limits.pids',
  capAdd: 'capabilities.add',
  capDrop: 'capabilities.drop',
  caps: 'capabilities',
  readOnly: 'readonly',
  readonlyRootfs: 'readonly',
  terminal: 'tty',
  uid: 'user',
  usernsMode: 'userns',
  maxBuffer: 'maxOutput',
  timeoutMs: 'timeout',
};

/** Everything that is wrong with the options of a container. `extra` are the options that this call takes beside. */
export function checkOptions(value: unknown, extra: Fields = {}): Issue[] {
  if (!isObject(value)) return [{ path: '', message: `the options must be an object, not ${show(value)}` }];
  const issues = issuesOf(value, closed({ ...optionChecks, ...extra }, 'option', renamed));
  const names = Object.keys(sources);
  const given = names.filter((name) => value[name] !== undefined);
  if (given.length !== 1) {
    const got = given.length === 0 ? 'none' : given.join(' and ');
    issues.unshift({ path: '', message: `give one of ${names.join(', ')}; got ${got}` });
  }
  if (value['pull'] !== undefined && value['image'] === undefined) {
    issues.push({ path: '/pull', message: 'is for an image only' });
  }
  // Of limits that are wrong by themselves nothing more is asked.
  const swap = issues.some(({ path }) => path.startsWith('/limits')) ? [] : swapFault(value['limits'], '/limits');
  return [...issues, ...swap, ...detachedFaults(value)];
}

/** All that is wrong with limits that are given by themselves. */
export function checkLimits(value: unknown): Issue[] {
  if (!isObject(value)) return [{ path: '', message: `the limits must be an object, not ${show(value)}` }];
  return [...issuesOf(value, limits), ...swapFault(value, '')];
}

function swapFault(limits: unknown, path: string): Issue[] {
  const isAlone = isObject(limits) && limits['swap'] !== undefined && limits['memory'] === undefined;
  return isAlone ? [{ path: `${path}/swap`, message: 'a limit of swap needs one of memory' }] : [];
}
