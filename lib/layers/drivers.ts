import { randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { RuntsError } from '../errors.ts';
import type { Host } from '../host/host.ts';
import { removeTrees, trialEntry, tryOverlay } from '../host/layers.ts';
import type { Facts } from '../plan/facts.ts';
import type { Maps } from '../plan/plan.ts';
import { isObject } from '../spec/shape.ts';
import { readRecordText } from './record-file.ts';

/**
 * How layers become a root file system. `overlay`: a union mount of layers that are unpacked once. `fuse-overlayfs`: one
 * whose files the program of that name serves. `copy`: unpacked anew for each container, which works everywhere.
 */
export const graphDrivers = ['overlay', 'fuse-overlayfs', 'copy'] as const;
export type GraphDriver = (typeof graphDrivers)[number];

const choiceName = 'driver.json';

/** Where union mounts are served through. */
const device = '/dev/fuse';

/** The drivers that a kernel may refuse, the better one first. */
type Tried = Exclude<GraphDriver, 'copy'>;
const tried: readonly Tried[] = ['overlay', 'fuse-overlayfs'];

/** What was found here, for this situation: why a driver cannot be used, or null where it can. */
interface Findings {
  readonly situation: string;
  readonly refusals: Readonly<Partial<Record<Tried, string | null>>>;
}

export interface DriverRequest {
  readonly host: Host;
  readonly facts: Facts;
  /** The directory of all data. */
  readonly data: string;
  readonly maps: Maps | undefined;
  readonly asked?: GraphDriver | undefined;
  /** The container can have a file server: nothing in it would see that. */
  readonly servable?: boolean | undefined;
}

/** The driver for a directory of layers: told by trying, once for each kernel and each set of ids. */
export async function chooseDriver(request: DriverRequest): Promise<GraphDriver> {
  const { asked, servable = true } = request;
  if (asked === 'copy') return 'copy';
  const candidates = tried.filter((driver) => asked === undefined || driver === asked);
  for (const driver of candidates) {
    const reason = driver === 'fuse-overlayfs' && !servable ? unservable : await refusal(request, driver);
    if (reason === undefined) return driver;
    if (driver === asked) throw unsupported(driver, reason);
  }
  return 'copy';
}

const unservable =
  'the container shares the pid namespace of others, or has no user namespace made for it, and could take over the program';

const hints: Readonly<Record<Tried, string>> = {
  overlay:
    'Leave the driver away, and the next best one is taken, or take "copy": it unpacks the image for each container.',
  'fuse-overlayfs': `It needs the program fuse-overlayfs (the package of that name) in /usr/bin or a directory like it, and ${device}, which the container's root may read and write (mode 0666). "copy" works without.`,
};

const unsupported = (driver: Tried, reason: string) =>
  new RuntsError('ERR_UNSUPPORTED', `cannot mount layers as one with the driver ${driver}: ${reason}`, {
    hint: hints[driver],
  });

/** Why a driver cannot be used here; undefined where it can. */
async function refusal(request: DriverRequest, driver: Tried): Promise<string | undefined> {
  const { host, facts, data, maps } = request;
  const program = host.environment.programs.fuseOverlayfs;
  if (driver === 'fuse-overlayfs') {
    if (program === undefined) return 'there is no program fuse-overlayfs';
    if ((await host.files.device(device).catch(() => undefined)) === undefined) return `there is no device ${device}`;
  }
  const path = `${data}/layers/${choiceName}`;
  const usable = await host.files.canWrite(device).catch(() => false);
  const situation = JSON.stringify([facts.kernel, maps ?? null, program ?? null, usable]);
  const known = parse((await readRecordText(path)) ?? '{}');
  const refusals = known?.situation === situation ? known.refusals : {};
  const found = refusals[driver] ?? null;
  if (driver in refusals) return found ?? undefined;
  const reason = await trial(request, driver);
  const findings: Findings = { situation, refusals: { ...refusals, [driver]: reason ?? null } };
  await host.files.replace(path, JSON.stringify(findings));
  return reason;
}

function parse(text: string): Findings | undefined {
  try {
    const found = JSON.parse(text) as Partial<Findings> | null;
    const isFinding = (each: unknown) => each === null || typeof each === 'string';
    return isObject(found?.refusals) && Object.values(found.refusals).every(isFinding)
      ? (found as Findings)
      : undefined;
  } catch {
    return undefined;
  }
}

/** Undefined where it works; else why not. */
async function trial({ host, facts, data, maps }: DriverRequest, driver: Tried): Promise<string | undefined> {
  const name = `.trial-${randomBytes(6).toString('hex')}`;
  const place = `${data}/layers/${name}`;
  await mkdir(place, { mode: 0o700 });
  try {
    for (const each of ['lower', `lower/${trialEntry}`, 'upper', 'work', serverPlace])
      await mkdir(`${place}/${each}`, { mode: 0o755 });
    const layers = { data, base: `layers/${name}`, lower: ['lower'], upper: 'upper', work: 'work' };
    await tryOverlay(host, facts, { ...layers, server: serverOf(host, driver, serverPlace) }, maps);
    return undefined;
  } catch (error) {
    const failure = RuntsError.is(error) ? error.failure : undefined;
    // Only what the kernel says against it is an answer.
    if (failure === undefined) throw error;
    return `${failure.errno} in ${failure.step}${failure.detail === '' ? '' : ` (${failure.detail})`}`;
  } finally {
    await removeTrees(host, `${data}/layers`, [name], facts.privileged ? undefined : maps);
  }
}

/** The directory that a server mounts on, by its usual name. */
export const serverPlace = 'merged';

/** Who serves the files, with a driver; undefined where the kernel does. */
export function serverOf({ environment }: Host, driver: GraphDriver, place: string) {
  const program = environment.programs.fuseOverlayfs;
  return driver === 'fuse-overlayfs' && program !== undefined ? { program, place } : undefined;
}
