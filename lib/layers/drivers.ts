import { randomBytes } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import { RuntsError } from '../errors.ts';
import type { Host } from '../host/host.ts';
import { removeTrees, trialEntry, tryOverlay } from '../host/layers.ts';
import type { Facts } from '../plan/facts.ts';
import type { Maps } from '../plan/plan.ts';

/**
 * How layers become a root file system. `overlay`: a union mount of layers that are unpacked once. `copy`: unpacked anew for
 * each container, which works everywhere.
 */
export type GraphDriver = 'overlay' | 'copy';

const choiceName = 'driver.json';

/** What was found here, on this kernel, for these ids. */
interface Choice {
  readonly kernel: string;
  readonly maps: string;
  readonly driver: GraphDriver;
  /** Why there is no overlay. */
  readonly reason?: string;
}

/** The driver for a directory of layers: told by trying, once for each kernel and each set of ids. */
export async function chooseDriver(
  host: Host,
  facts: Facts,
  data: string,
  maps: Maps | undefined,
  asked?: GraphDriver | undefined,
): Promise<GraphDriver> {
  if (asked === 'copy') return 'copy';
  const choice = await choose(host, facts, data, maps);
  if (asked === 'overlay' && choice.driver !== 'overlay') {
    throw new RuntsError('ERR_UNSUPPORTED', `cannot mount layers as one with the driver overlay: ${choice.reason}`, {
      hint: 'Leave the driver away, or take "copy": it unpacks the image for each container.',
    });
  }
  return choice.driver;
}

async function choose(host: Host, facts: Facts, data: string, maps: Maps | undefined): Promise<Choice> {
  const path = `${data}/layers/${choiceName}`;
  const key = JSON.stringify(maps ?? null);
  const text = await readFile(path, 'utf8').catch(() => '{}');
  const known = parse(text);
  if (known?.kernel === facts.kernel && known.maps === key) return known;
  const reason = await trial(host, facts, data, maps);
  const driver = reason === undefined ? 'overlay' : 'copy';
  const choice: Choice = { kernel: facts.kernel, maps: key, driver, ...(reason !== undefined && { reason }) };
  await host.files.replace(path, JSON.stringify(choice));
  return choice;
}

function parse(text: string): Choice | undefined {
  try {
    return JSON.parse(text) as Choice;
  } catch {
    return undefined;
  }
}

/** Undefined where it works; else why not. */
async function trial(host: Host, facts: Facts, data: string, maps: Maps | undefined): Promise<string | undefined> {
  const name = `.trial-${randomBytes(6).toString('hex')}`;
  const place = `${data}/layers/${name}`;
  await mkdir(place, { mode: 0o700 });
  try {
    for (const each of ['lower', `lower/${trialEntry}`, 'upper', 'work'])
      await mkdir(`${place}/${each}`, { mode: 0o755 });
    const layers = { data, base: `layers/${name}`, lower: ['lower'], upper: 'upper', work: 'work' };
    await tryOverlay(host, facts, layers, maps);
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
