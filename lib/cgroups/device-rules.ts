import type { Device, DeviceRule, Linux } from '../spec/types.ts';

const node = (major: number | undefined, minor: number | undefined): DeviceRule => ({
  allow: true,
  type: 'c',
  ...(major !== undefined && { major }),
  ...(minor !== undefined && { minor }),
  access: 'rwm',
});

/** What every container may use, whatever its rules say, as other runtimes have it: the usual devices and its terminals. */
const always: readonly DeviceRule[] = [
  // To make nodes harms nobody: to open them is another matter.
  { allow: true, type: 'c', access: 'm' },
  { allow: true, type: 'b', access: 'm' },
  node(1, 3),
  node(1, 5),
  node(1, 7),
  node(1, 8),
  node(1, 9),
  node(5, 0),
  node(5, 1),
  node(5, 2),
  node(136, undefined),
];

function given({ type, major, minor }: Device): DeviceRule[] {
  if (type === 'p' || major === undefined || minor === undefined) return [];
  return [{ allow: true, type: type === 'b' ? 'b' : 'c', major, minor, access: 'rwm' }];
}

/**
 * All rules about devices, of which the last that fits decides: the nodes that the container is given may be used unless
 * its own rules say otherwise, and what every container has may be used in any case.
 */
export function deviceRules({ devices = [], resources }: Linux): readonly DeviceRule[] {
  return [...devices.flatMap(given), ...(resources?.devices ?? []), ...always];
}
