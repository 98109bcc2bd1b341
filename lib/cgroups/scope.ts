import type { Value, Variant } from '../dbus/types.ts';
import { RuntsError } from '../errors.ts';
import type { CgroupWrite } from '../plan/plan.ts';
import { bitMask } from '../spec/bit-mask.ts';
import { hasOwn } from '../spec/own.ts';

/** A scope of systemd's, by `slice:prefix:name` (the form of cgroupsPath with the systemd driver). */
export interface ScopeName {
  /** `user.slice`: the slice it is in; undefined for that of its manager. */
  readonly slice: string;
  /** `runts-web.scope`. */
  readonly unit: string;
}

const origin = '/linux/cgroupsPath';
/** Names of units, systemd.unit(5). */
const namePattern = /^[A-Za-z0-9:_.\\@-]+$/;
const unitMax = 255;

/** Where systemd is to put the container; without a word about it, in the slice that things of its manager are in. */
export function scopeName(asked: string | undefined, id: string, manager: 'system' | 'user'): ScopeName {
  const usual = manager === 'system' ? 'system.slice' : 'user.slice';
  if (asked === undefined || asked === '') return { slice: usual, unit: `runts-${id}.scope` };
  const parts = asked.split(':');
  const [slice, prefix, name] = parts;
  if (parts.length !== 3 || slice === undefined || prefix === undefined || name === undefined || name === '') {
    throw refusal(asked, 'with systemd it has the form slice:prefix:name');
  }
  if (slice !== '' && !slice.endsWith('.slice')) throw refusal(asked, `${JSON.stringify(slice)} is not a slice`);
  const unit = name.endsWith('.slice') ? name : `${prefix === '' ? '' : `${prefix}-`}${name}.scope`;
  const found = { slice: slice === '' ? usual : slice, unit };
  slicePath(found.slice);
  if (!namePattern.test(unit) || unit.length > unitMax) {
    throw refusal(asked, `${JSON.stringify(unit)} is not a name that a unit of systemd can have`);
  }
  return found;
}

/** The cgroup of a slice, as a path without slashes around it: `a-b.slice` is in `a.slice`. */
export function slicePath(slice: string): string {
  if (slice === '-.slice') return '';
  const name = slice.slice(0, -'.slice'.length);
  if (!slice.endsWith('.slice') || !namePattern.test(name) || name.split('-').includes('')) {
    throw refusal(slice, `${JSON.stringify(slice)} is not a slice`);
  }
  const parts = name.split('-');
  return parts.map((_, i) => `${parts.slice(0, i + 1).join('-')}.slice`).join('/');
}

function refusal(asked: string, fault: string): RuntsError {
  return new RuntsError('ERR_SPEC', `cannot place the container in the cgroup ${JSON.stringify(asked)}: ${fault}`, {
    origin,
    issues: [{ path: origin, message: fault }],
    hint: 'Such as "user.slice:runts:web"; each of the three but the last may be empty.',
  });
}

// ---- properties --------------------------------------------------------------------------------------------------------

export type Property = readonly [name: string, value: Variant];

const unlimited = (1n << 64n) - 1n;
const number = (value: string): bigint => (value === 'max' ? unlimited : BigInt(value));
const u64 = (name: string, value: bigint): Property => [name, { signature: 't', value }];

/** Files of a scope's cgroup that are systemd's to write, too, and by which property (systemd.resource-control(5)). */
const byFile: Readonly<Record<string, (value: string) => readonly Property[]>> = {
  'memory.max': (value) => [u64('MemoryMax', number(value))],
  'memory.high': (value) => [u64('MemoryHigh', number(value))],
  'memory.low': (value) => [u64('MemoryLow', number(value))],
  'memory.min': (value) => [u64('MemoryMin', number(value))],
  'memory.swap.max': (value) => [u64('MemorySwapMax', number(value))],
  // A scope of no process at all is more than systemd can say.
  'pids.max': (value) => (value === '0' ? [] : [u64('TasksMax', number(value))]),
  'cpu.weight': (value) => [u64('CPUWeight', number(value))],
  'cpu.max': cpuQuota,
  'cpuset.cpus': (value) => [['AllowedCPUs', bitmask(value)]],
  'cpuset.mems': (value) => [['AllowedMemoryNodes', bitmask(value)]],
};

/**
 * The properties that say what these writes do: without them, systemd would write its own values again at the next
 * reload. What it has no property for is ours alone, since the scope is delegated.
 */
export function limitProperties(writes: readonly CgroupWrite[]): readonly Property[] {
  const found = new Map<string, Property>();
  for (const { file, value } of writes)
    for (const property of byFile[file]?.(value) ?? []) found.set(property[0], property);
  return [...found.values()];
}

/** `50000 100000`, in microseconds: half a processor. systemd wants it for a second, in steps of 10 ms. */
function cpuQuota(value: string): readonly Property[] {
  const [quota = 'max', period] = value.split(' ');
  const periodUs = period === undefined ? undefined : BigInt(period);
  const perSecond = quota === 'max' ? unlimited : (BigInt(quota) * 1_000_000n) / (periodUs ?? 100_000n);
  const step = 10_000n;
  const rounded = perSecond === unlimited || perSecond % step === 0n ? perSecond : (perSecond / step + 1n) * step;
  return [u64('CPUQuotaPerSecUSec', rounded), ...(periodUs === undefined ? [] : [u64('CPUQuotaPeriodUSec', periodUs)])];
}

const bitmask = (list: string): Variant => ({ signature: 'ay', value: [...bitMask(list, '/linux/resources/cpu')] });

/** What every scope of ours has: its first process, and a cgroup that is ours below it. */
export function scopeProperties(slice: string, pid: number, description: string): readonly Property[] {
  const yes: Variant = { signature: 'b', value: true };
  return [
    ['Description', { signature: 's', value: description }],
    ['Slice', { signature: 's', value: slice }],
    ['Delegate', yes],
    ['DefaultDependencies', { signature: 'b', value: false }],
    ['PIDs', { signature: 'au', value: [pid] }],
    ['CPUAccounting', yes],
    ['MemoryAccounting', yes],
    ['IOAccounting', yes],
    ['TasksAccounting', yes],
  ];
}

/** Prefix of annotations that are properties of the unit. */
const annotationPrefix = 'org.systemd.property.';
const textPattern = /^'((?:[^'\\]|\\['\\])*)'$|^"((?:[^"\\]|\\["\\])*)"$/;
/** What an annotation may set: how the unit is named, ordered and ended, and nothing that runs or opens anything. */
const allowed: Readonly<Record<string, 's' | 'as' | 'b' | 't'>> = {
  Description: 's',
  CollectMode: 's',
  KillMode: 's',
  DefaultDependencies: 'b',
  After: 'as',
  Before: 'as',
  Wants: 'as',
  Requires: 'as',
  BindsTo: 'as',
  TimeoutStopUSec: 't',
};

/**
 * Properties that annotations ask for, such as `org.systemd.property.TimeoutStopUSec: "uint64 123456789"`, in the notation
 * of GVariant texts. Annotations often come from whoever deploys an image (CVE-2024-3154): only harmless ones are taken.
 */
export function annotatedProperties(annotations: Readonly<Record<string, string>>): readonly Property[] {
  return Object.keys(annotations)
    .filter((key) => key.startsWith(annotationPrefix))
    .map((key) => {
      let name = key.slice(annotationPrefix.length);
      let text = (annotations[key] as string).trim();
      // As others have it: a time in seconds, for a property that is one in microseconds.
      if (name.endsWith('Sec') && !name.endsWith('USec')) {
        name = name.replace(/Sec$/, 'USec');
        text = microseconds(text);
      }
      const type = hasOwn(allowed, name) ? allowed[name] : undefined;
      const value = type === undefined ? undefined : parsed(type, text);
      if (type === undefined || value === undefined) throw refusedAnnotation(key, type === undefined);
      return [name, { signature: type, value }] as const;
    });
}

const microseconds = (text: string) =>
  /^(uint64 )?\d+$/.test(text) ? `uint64 ${text.replace('uint64 ', '')}000000` : text;

function parsed(type: 's' | 'as' | 'b' | 't', text: string): Value | undefined {
  if (type === 'b') return text === 'true' ? true : text === 'false' ? false : undefined;
  if (type === 't') return /^(uint64 )?\d{1,19}$/.test(text) ? BigInt(text.replace('uint64 ', '')) : undefined;
  if (type === 's') return unquoted(text);
  if (!text.startsWith('[') || !text.endsWith(']')) return undefined;
  const items = text
    .slice(1, -1)
    .split(',')
    .map((item) => unquoted(item.trim()));
  return items.some((item) => item === undefined) ? undefined : (items as string[]);
}

function unquoted(text: string): string | undefined {
  const match = textPattern.exec(text);
  return match === null ? undefined : (match[1] ?? match[2] ?? '').replace(/\\(.)/g, '$1');
}

function refusedAnnotation(key: string, unknown: boolean): RuntsError {
  const path = `/annotations/${key}`;
  const message = unknown ? 'is not a property that an annotation may set' : 'has a value of another type';
  return new RuntsError('ERR_SPEC', `cannot take the property of the annotation ${key}: it ${message}`, {
    origin: path,
    issues: [{ path, message }],
    hint: `An annotation may set ${Object.keys(allowed).join(', ')}.`,
  });
}
