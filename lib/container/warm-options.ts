import type { Issue } from '../errors.ts';
import { checkOptions } from '../spec/check-options.ts';
import { dataText } from '../spec/data-text.ts';
import type { ContainerOptions, MountOption } from '../spec/options.ts';
import { isObject, show } from '../spec/shape.ts';

/** How many containers of one kind are to stand ready, made before anybody asks for them. */
export interface WarmContainers {
  /** From 1 to 256. */
  readonly size: number;
  /** What they are: whoever asks for a container of equal options has one of them. */
  readonly container: ContainerOptions;
}

const poolsMax = 64;
const sizeMax = 256;

/** All that is wrong with the option `warm` of a runtime. */
export function checkWarm(value: unknown): Issue[] {
  if (!Array.isArray(value)) return [{ path: '', message: `must be a list, not ${show(value)}` }];
  if (value.length > poolsMax)
    return [{ path: '', message: `must have at most ${poolsMax} items, not ${value.length}` }];
  return value.flatMap((item: unknown, i) =>
    checkOne(item).map(({ path, message }) => ({ path: `/${i}${path}`, message })),
  );
}

function checkOne(item: unknown): Issue[] {
  if (!isObject(item)) return [{ path: '', message: `must be an object, not ${show(item)}` }];
  const { size, container, ...strangers } = item;
  const issues: Issue[] = Object.keys(strangers).map((name) => ({
    path: '',
    message: `has no ${name}; there are size, container`,
  }));
  if (typeof size !== 'number' || !Number.isInteger(size) || size < 1 || size > sizeMax)
    issues.push({ path: '/size', message: `must be a whole number from 1 to ${sizeMax}, not ${show(size)}` });
  const wrong = checkOptions(container);
  const late = wrong.length > 0 ? [] : notAhead(container as ContainerOptions);
  return [...issues, ...[...wrong, ...late].map(({ path, message }) => ({ path: `/container${path}`, message }))];
}

/** What is said of one container only, or is as this process and this host are when it is made. */
function notAhead(options: ContainerOptions): Issue[] {
  const {
    mounts = [],
    from,
    pull,
    detached,
    systemView,
    spec,
  } = options as Partial<ContainerOptions> & {
    readonly pull?: string;
  };
  const said = lateNames.filter((name) => options[name] !== undefined);
  const streams = (['stdin', 'stdout', 'stderr'] as const).filter(
    (name) => !['ignore', 'pipe', undefined].includes(options[name] as string | undefined),
  );
  const of = (name: string, isSo: boolean, message: string): Issue[] => (isSo ? [{ path: `/${name}`, message }] : []);
  return [
    ...said.flatMap((name) => of(name, true, 'is for `createContainer`, not for what is made ahead of it')),
    ...streams.flatMap((name) => of(name, true, 'must be "ignore" or "pipe" of a container that is made ahead')),
    ...of('spec', spec !== undefined, 'cannot be compared: no container with it is made ahead'),
    ...of('from', from !== undefined, 'is of a snapshot, and none is there yet'),
    ...of('pull', pull === 'always', 'must not be "always" of a container that is made ahead'),
    ...of('detached', detached === true, 'must not be true of a container that is made ahead'),
    ...of('systemView', systemView === 'limits', 'must not be "limits" of a container that is made ahead'),
    ...of('mounts', mounts.some(isVolume), 'must have no volume of a container that is made ahead'),
  ];
}

const isVolume = ({ type }: MountOption): boolean => type === 'volume';

/** What is said when a container is taken, and has no part in its making. */
const lateNames = ['name', 'signal', 'ready'] as const;

/**
 * The text of options but for what can be said late: equal for equal ones. Undefined where they are more than plain data.
 */
export function warmText(options: ContainerOptions): string | undefined {
  try {
    const { name: _n, signal: _s, ready: _r, ...said } = options;
    return dataText(sorted(said, 0));
  } catch {
    // A getter that throws: who makes the container tells it.
    return undefined;
  }
}

/** Deeper than any option. */
const depthMax = 16;

/** A copy of what is plain data, with the keys in order; all else stays as it is. */
function sorted(value: unknown, depth: number): unknown {
  if (typeof value !== 'object' || value === null || depth > depthMax) return value;
  if (Array.isArray(value))
    return Object.getPrototypeOf(value) === Array.prototype ? value.map((item) => sorted(item, depth + 1)) : value;
  const prototype = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return value;
  const entries = Object.entries(value).map(([key, item]) => [key, sorted(item, depth + 1)] as const);
  return Object.fromEntries(entries.sort(([one], [other]) => (one < other ? -1 : 1)));
}
