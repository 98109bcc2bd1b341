import type { Value, Variant } from '../dbus/types.ts';
import { RuntsError } from '../errors.ts';
import type { CgroupWrite } from '../plan/plan.ts';
import { bitMask } from '../spec/bit-mask.ts';
import { hasOwn } from '../spec/own.ts';
import type { Resources } from '../spec/types.ts';

/** A scope of systemd's, by `slice:prefix:name` (the form of cgroupsPath with the systemd driver). */
export interface ScopeName {
  /** `user.slice`: the slice it is in; undefined for that of its manager. */
  readonly slice: string;
  /** `runts-web.scope`. */
  readonly unit: string;
}

const origin = '/linux/cgroupsPath';
/** Names of units, systemd.unit(5). */
const namePattern = /^[A-Za-z0-9:_.\\-][A-Za-z0-9:_.\\@-]*$/;
const unitMax = 255;

/** Where systemd is to put the container; without a word about it, in the slice that things of its manager are in. */
export function scopeName(asked: string | undefined, id: string, manager: 'system' | 'user'): ScopeName {
  const usual = manager === 'system' ? 'system.slice' : 'user.slice';
  if (asked === undefined || asked === '') {
    const unit = `runts-${escaped(id)}.scope`;
    if (unit.length > unitMax) throw refusal('', `the name of its scope has more than ${unitMax} bytes: ${unit}`);
    return { slice: usual, unit };
  }
  const parts = asked.split(':');
  const [slice, prefix, name] = parts;
  if (parts.length !== 3 || slice === undefined || prefix === undefined || name === undefined || name === '') {
    throw refusal(asked, 'with systemd it has the form slice:prefix:name');
  }
  if (slice !== '' && !slice.endsWith('.slice')) throw refusal(asked, `${JSON.stringify(slice)} is not a slice`);
  if (name.endsWith('.slice')) throw refusal(asked, 'a slice has no processes: they are in a scope or a service in it');
  const unit = `${prefix === '' ? '' : `${prefix}-`}${name}.scope`;
  const found = { slice: slice === '' ? usual : slice, unit };
  slicePath(found.slice);
  if (!namePattern.test(unit) || unit.length > unitMax) {
    throw refusal(asked, `${JSON.stringify(unit)} is not a name that a unit of systemd can have`);
  }
  return found;
}

/** As systemd-escape(1) has it: a name of ours may have a `+`, that of a unit not. */
const escaped = (id: string): string =>
  id.replace(/[^A-Za-z0-9:_.-]/g, (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`);

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

/** What systemd has for "no limit", and for "not set". */
const unlimited = (1n << 64n) - 1n;
const u64 = (name: string, value: bigint): Property => [name, { signature: 't', value }];

/** A number as the kernel reads it; undefined where it is none, which is for the kernel to say. */
function number(text: string): bigint | undefined {
  if (text === 'max') return unlimited;
  const [, digits, unit = ''] = /^(\d{1,19})([KMGTPE]?)$/i.exec(text) ?? [];
  return digits === undefined
    ? undefined
    : BigInt(digits) << (10n * BigInt(' KMGTPE'.indexOf(unit.toUpperCase() || ' ')));
}

/** A limit that is one number; less than `least` is more than systemd can say. */
const limit =
  (name: string, least: bigint) =>
  (text: string): readonly Property[] => {
    const value = number(text);
    return value === undefined || value < least || value > unlimited ? [] : [u64(name, value)];
  };

/** Files of a scope's cgroup that are systemd's to write, too, and by which property (systemd.resource-control(5)). */
const byFile: Readonly<Record<string, (value: string) => readonly Property[]>> = {
  'memory.max': limit('MemoryMax', 1n),
  'memory.high': limit('MemoryHigh', 1n),
  'memory.low': limit('MemoryLow', 0n),
  'memory.min': limit('MemoryMin', 0n),
  'memory.swap.max': limit('MemorySwapMax', 0n),
  'pids.max': limit('TasksMax', 1n),
  'cpu.weight': limit('CPUWeight', 1n),
  // The weight of one that is idle; back to the usual one for another.
  'cpu.idle': (value) => [u64('CPUWeight', value === '1' ? 0n : unlimited)],
  'cpu.max': cpuQuota,
  'cpuset.cpus': (value) => [['AllowedCPUs', bitmask(value)]],
  'cpuset.mems': (value) => [['AllowedMemoryNodes', bitmask(value)]],
  // Those by device are ours alone.
  'io.weight': (value) => (value.startsWith('default ') ? limit('IOWeight', 1n)(value.slice('default '.length)) : []),
};

/**
 * The properties that say what these writes do: without them, systemd would write its own values again at the next
 * reload. What it has no property for is ours alone, since the scope is delegated.
 */
export function limitProperties(writes: readonly CgroupWrite[]): readonly Property[] {
  return merged(
    writes.flatMap(({ file, value }) => (hasOwn(byFile, file) ? (byFile[file]?.(value.trim()) ?? []) : [])),
  );
}

/** `50000 100000`, in microseconds: half a processor. systemd wants it for a second, in steps of 10 ms. */
function cpuQuota(value: string): readonly Property[] {
  const [quotaText = '', periodText] = value.split(/\s+/);
  const quota = number(quotaText);
  const period = periodText === undefined ? undefined : number(periodText);
  if (quota === undefined || period === 0n) return [];
  const periodProperty = period === undefined ? [] : [u64('CPUQuotaPeriodUSec', period)];
  if (quota === unlimited) return [u64('CPUQuotaPerSecUSec', unlimited), ...periodProperty];
  const step = 10_000n;
  const steps = (quota * 1_000_000n) / ((period ?? 100_000n) * step);
  const exact = steps * step * (period ?? 100_000n) === quota * 1_000_000n;
  return [u64('CPUQuotaPerSecUSec', (exact ? steps : steps + 1n) * step), ...periodProperty];
}

const bitmask = (list: string): Variant => ({ signature: 'ay', value: [...bitMask(list, '/linux/resources/cpu')] });

/** Of two properties of one name the later. */
export function merged(properties: readonly Property[]): readonly Property[] {
  return [...new Map(properties.map((property) => [property[0], property])).values()];
}

/**
 * Whether a weight is asked for beside idleness, which for systemd is a weight of its own: then it is the idleness that
 * counts.
 */
export function hasIdleWeight({ cpu, unified }: Resources): boolean {
  const idle = cpu?.idle === 1 || unified?.['cpu.idle']?.trim() === '1';
  return idle && ((cpu?.shares ?? 0) > 0 || unified?.['cpu.weight'] !== undefined);
}

/** From which version on systemd has a property, where not all that have scopes on cgroup v2 do. */
const since: Readonly<Record<string, number>> = {
  CPUQuotaPeriodUSec: 242,
  AllowedCPUs: 244,
  AllowedMemoryNodes: 244,
};
/** Before it, no weight said that somebody is idle. */
const idleSince = 252;

/** Those of the properties that a systemd of this version has: what an older one does not know of, it leaves alone. */
export function supported(properties: readonly Property[], version: number): readonly Property[] {
  return properties.filter(([name, { value }]) => {
    const needed = name === 'CPUWeight' && value === 0n ? idleSince : hasOwn(since, name) ? (since[name] ?? 0) : 0;
    return version >= needed;
  });
}

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
type AnnotationType = 's' | 'as' | 'b' | 't' | 'i';
/**
 * What an annotation may set: how the scope is named, ordered and ended. Nothing that starts or opens anything, as a
 * dependency on `poweroff.target` would; and no limit, since those are for linux.resources to say.
 */
const allowed: Readonly<Record<string, AnnotationType>> = {
  Description: 's',
  Documentation: 'as',
  CollectMode: 's',
  KillMode: 's',
  KillSignal: 'i',
  FinalKillSignal: 'i',
  SendSIGHUP: 'b',
  SendSIGKILL: 'b',
  DefaultDependencies: 'b',
  Delegate: 'b',
  After: 'as',
  Before: 'as',
  PartOf: 'as',
  TimeoutStopUSec: 't',
  RuntimeMaxUSec: 't',
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
      if (type === undefined) throw refusedAnnotation(key, 'is not a property that an annotation may set');
      const value = parsed(type, text);
      if (value === undefined) throw refusedAnnotation(key, `has a value of another type than ${typeNames[type]}`);
      if (name === 'Delegate' && value !== true)
        throw refusedAnnotation(key, 'would take the cgroup from the container');
      return [name, { signature: type, value }] as const;
    });
}

const typeNames: Readonly<Record<AnnotationType, string>> = {
  s: "a text ('…')",
  as: "a list of texts (['…', '…'])",
  b: 'true or false',
  t: 'a number (uint64 …)',
  i: 'a number',
};

/** Whole seconds, or with a fraction: `1.5`. */
function microseconds(text: string): string {
  const [, whole, fraction = ''] = /^(?:uint64 |int32 )?(\d+)(?:\.(\d+))?$/.exec(text) ?? [];
  return whole === undefined ? text : `uint64 ${whole}${fraction.slice(0, 6).padEnd(6, '0')}`;
}

function parsed(type: AnnotationType, text: string): Value | undefined {
  if (type === 'b') return text === 'true' ? true : text === 'false' ? false : undefined;
  if (type === 't') return /^(uint64 )?\d{1,19}$/.test(text) ? BigInt(text.replace('uint64 ', '')) : undefined;
  if (type === 'i') return /^(int32 )?\d{1,9}$/.test(text) ? Number(text.replace('int32 ', '')) : undefined;
  if (type === 's') return unquoted(text);
  const [, list] = /^(?:@as )?\[(.*)\]$/s.exec(text) ?? [];
  if (list === undefined) return undefined;
  const items = list.trim() === '' ? [] : list.split(',').map((item) => unquoted(item.trim()));
  return items.some((item) => item === undefined) ? undefined : (items as string[]);
}

function unquoted(text: string): string | undefined {
  const match = textPattern.exec(text);
  return match === null ? undefined : (match[1] ?? match[2] ?? '').replace(/\\(.)/g, '$1');
}

function refusedAnnotation(key: string, fault: string): RuntsError {
  const path = `/annotations/${key}`;
  return new RuntsError('ERR_SPEC', `cannot take the property of the annotation ${key}: it ${fault}`, {
    origin: path,
    issues: [{ path, message: fault }],
    hint: `An annotation may set ${Object.keys(allowed).join(', ')}.`,
  });
}
