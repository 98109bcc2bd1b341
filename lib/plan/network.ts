import { RuntsError } from '../errors.ts';
import { Builder } from '../program/builder.ts';
import { pointerOf } from '../spec/pointer.ts';
import type { NetDevice } from '../spec/types.ts';
import type { Segment } from './plan.ts';

/** A network device of the host that becomes the container's. */
export interface NetDeviceMove {
  readonly name: string;
  /** What it is called in the container; `%d` in it is a number of the kernel's choosing. */
  readonly rename: string;
  readonly origin: string;
}

/** The devices to be moved; undefined where there are none. Only root can take a device away from the host. */
export function netDevicesOf(
  devices: Readonly<Record<string, NetDevice>> | undefined,
  { privileged }: { readonly privileged: boolean },
): readonly NetDeviceMove[] | undefined {
  const names = Object.keys(devices ?? {});
  const [first] = names;
  if (first === undefined) return undefined;
  const origin = pointerOf('linux', 'netDevices', first);
  if (!privileged) {
    throw new RuntsError('ERR_UNSUPPORTED', `cannot move the network device ${first} into the container`, {
      origin,
      hint: 'Only root of the host can: it takes CAP_NET_ADMIN there.',
    });
  }
  const moves = names.map((name) => ({
    name,
    rename: devices?.[name]?.name || name,
    origin: pointerOf('linux', 'netDevices', name),
  }));
  const taken = new Set<string>();
  for (const { rename, origin: path } of moves) {
    // The kernel finds a number for a template, as often as it is asked.
    if (taken.has(rename) && !rename.includes('%d')) {
      const message = `two network devices cannot both be called ${rename}`;
      throw new RuntsError('ERR_SPEC', message, { origin: path, issues: [{ path, message }] });
    }
    taken.add(rename);
  }
  return moves;
}

/** A program for a helper in the host's network namespace; its one input is the container's. */
export function netDeviceProgram(moves: readonly NetDeviceMove[]): Segment {
  const ops = new Builder();
  const netns = ops.input('netns');
  for (const { name, rename, origin } of moves) ops.op('net_device', { name, netns, rename }, origin);
  return ops.op('halt', {}, 'default: end').segment();
}
