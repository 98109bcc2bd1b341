import { isAbsolute } from 'node:path';
import { checkWarm, type WarmContainers } from '../container/warm-options.ts';
import { specError } from '../errors.ts';
import type { Registries } from '../images/registry/config.ts';
import { type GraphDriver, graphDrivers } from '../images/unpacked.ts';
import { hasOwn } from '../spec/own.ts';
import { isObject, show } from '../spec/shape.ts';
import { checkLimits, type VolumeLimits } from '../volumes/limits.ts';

/** What `createRuntime` takes; each has a default. */
export interface RuntimeOptions {
  /** Where images, layers and root file systems are kept. Default `$XDG_DATA_HOME/runts`, as root `/var/lib/runts`. */
  readonly root?: string;
  /** Where state is kept. Default `$XDG_RUNTIME_DIR/runts`, as root `/run/runts`. */
  readonly state?: string;
  /** How layers become a root file system. Default: the best that works here, found out by trying. */
  readonly driver?: GraphDriver | undefined;
  /** Mirrors and insecure registries, by the registry's name; over those of the configuration files. */
  readonly registries?: Registries | undefined;
  /** How many there may be, and where plugins are. Default: as many as the store allows, and Docker's directories. */
  readonly volumes?: VolumesSettings | undefined;
  /**
   * Everything that is made by way of it goes when it is disposed, or when this process ends, by whatever means: volumes and
   * images too, unless others use them; it makes no detached containers. Default `false`: its containers go but those that
   * are detached, volumes with a name and images stay.
   */
  readonly ephemeral?: boolean | undefined;
  /** Containers that are made before anybody asks for them, and made again when one has been taken. Default: none. */
  readonly warm?: readonly WarmContainers[] | undefined;
}

/** How many volumes may be made through a runtime, and where plugins are. */
export interface VolumesSettings extends VolumeLimits {
  /** Directories with `.sock`, `.spec` and `.json` files of volume plugins, looked into before Docker's. */
  readonly plugins?: readonly string[] | undefined;
}

/** Throws with all that is wrong with options; `what` ends the sentence. */
export function mustBeRight(options: RuntimeOptions, what: string): void {
  const issues = Object.entries(options).flatMap(([name, value]) => {
    const check = hasOwn(runtimeChecks, name) ? runtimeChecks[name as keyof RuntimeOptions] : undefined;
    const message = check === undefined ? `unknown option; there are ${optionNames.join(', ')}` : check(value);
    return value === undefined || message === undefined ? [] : [{ path: `/${name}`, message }];
  });
  const { warm = [] } = options;
  const ahead = checkWarm(warm).map(({ path, message }) => ({ path: `/warm${path}`, message }));
  if (issues.length + ahead.length > 0) throw specError(what, [...issues, ...ahead]);
}

const path = (value: unknown): string | undefined =>
  typeof value === 'string' && isAbsolute(value) ? undefined : `must be an absolute path, not ${show(value)}`;

const runtimeChecks: Readonly<Record<keyof RuntimeOptions, (value: unknown) => string | undefined>> = {
  root: path,
  state: path,
  driver: (value) =>
    graphDrivers.some((driver) => driver === value)
      ? undefined
      : `must be one of ${graphDrivers.join(', ')}, not ${show(value)}`,
  // All that is wrong with them is told by checkRegistries.
  registries: () => undefined,
  volumes: volumesFault,
  // The same for checkWarm.
  warm: () => undefined,
  ephemeral: (value) => (typeof value === 'boolean' ? undefined : `must be true or false, not ${show(value)}`),
};

function volumesFault(value: unknown): string | undefined {
  if (!isObject(value)) return `must be an object, not ${show(value)}`;
  const { plugins = [], ...limits } = value;
  const stranger = Object.keys(limits).find((name) => !['max', 'maxByDriver'].includes(name));
  if (stranger !== undefined) return `has no ${stranger}; there are max, maxByDriver, plugins`;
  if (!Array.isArray(plugins) || plugins.some((each) => path(each) !== undefined)) {
    return 'plugins must be a list of absolute paths';
  }
  try {
    checkLimits(limits);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

const optionNames = Object.keys(runtimeChecks);
