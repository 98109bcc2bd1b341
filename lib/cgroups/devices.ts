import { RuntsError } from '../errors.ts';
import type { Device, DeviceRule } from '../spec/types.ts';

export interface DeviceWorld {
  readonly rules: readonly DeviceRule[];
  /** Nodes that the container is given. */
  readonly devices: readonly Device[];
  /** It has a user namespace: no node that it makes itself opens anything. */
  readonly isolated: boolean;
  /** CAP_SYS_ADMIN is in its bounding set: it can undo the attributes of its mounts. */
  readonly canRemount: boolean;
}

/** The usual devices, as `major:minor`: those of every container, and consoles and terminals. */
const usual: readonly string[] = ['1:3', '1:5', '1:7', '1:8', '1:9', '5:0', '5:1', '5:2', '136:*'];

/**
 * What the rules about devices come to: whether only those that the container is given may be opened, or any.
 *
 * For containers without a device filter (lib/cgroups/ebpf.ts): of the library, of an ordinary user, without a cgroup. What
 * rules usually say, "only the devices it has", holds without one: in a user namespace, by the kernel; as root, because
 * every mount is nodev but the clones of the given nodes. Rules that say more than that are refused.
 */
export function deviceAccess(world: DeviceWorld): 'listed' | 'all' {
  const { rules, devices, isolated, canRemount } = world;
  let access: 'listed' | 'all' = 'listed';
  rules.forEach((rule, i) => {
    const origin = `/linux/resources/devices/${i}`;
    const given = isGiven(rule, devices);
    if (isEverything(rule)) access = rule.allow && !isolated ? 'all' : 'listed';
    else if (!rule.allow && (given || access === 'all')) refuse(origin, 'a rule that denies some devices only');
    else if (rule.allow && !given && access === 'listed' && !isolated) {
      refuse(
        origin,
        'a rule that allows a device which the container is not given',
        'Add the device to linux.devices.',
      );
    }
  });
  if (access === 'listed' && rules.length > 0 && !isolated && canRemount) {
    const hint = 'Add a user namespace, or drop CAP_SYS_ADMIN, or allow all devices.';
    refuse('/linux/resources/devices', 'rules about devices for a container with CAP_SYS_ADMIN', hint);
  }
  return access;
}

const isAny = (value: number | undefined) => value === undefined || value === -1;

function isEverything({ type = 'a', major, minor, access = 'rwm' }: DeviceRule): boolean {
  return (type === 'a' || type === '') && isAny(major) && isAny(minor) && [...'rwm'].every((c) => access.includes(c));
}

function isGiven({ type, major, minor, access = 'rwm' }: DeviceRule, devices: readonly Device[]): boolean {
  // To make nodes harms nobody: they cannot be opened.
  if (access === 'm') return true;
  if (type === 'c' && (usual.includes(`${major}:${minor}`) || (isAny(minor) && usual.includes(`${major}:*`))))
    return true;
  return devices.some((device) => device.type === type && device.major === major && device.minor === minor);
}

function refuse(
  origin: string,
  what: string,
  hint = 'Leave it away: a container opens only the devices it has. The OCI commands, as root and with a cgroup, have a filter.',
): never {
  throw new RuntsError('ERR_UNSUPPORTED', `cannot enforce ${what}: that takes a device filter`, { origin, hint });
}
