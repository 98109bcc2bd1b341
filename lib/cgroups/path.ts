import { RuntsError } from '../errors.ts';

/**
 * Where the container's cgroup is, below the directory that is delegated to us:
 * - empty: `runts-<id>`;
 * - absolute or relative: the same path, below that directory;
 * - three parts with colons, as for systemd: `slice:prefix:name` is `slice/prefix-name.scope`.
 *
 * A `..` is refused, not resolved: other runtimes made directories outside of the hierarchy by it.
 */
export function cgroupPath(asked: string | undefined, id: string): string {
  if (asked === undefined || asked === '') return `runts-${id}`;
  const parts = (unitPath(asked) ?? asked).split('/').filter((part) => part !== '' && part !== '.');
  const fault = parts.length === 0 ? 'it is the delegated directory itself' : parts.map(partFault).find(Boolean);
  if (fault === undefined) return parts.join('/');
  throw new RuntsError('ERR_SPEC', `cannot place the container in the cgroup ${JSON.stringify(asked)}: ${fault}`, {
    origin: '/linux/cgroupsPath',
    issues: [{ path: '/linux/cgroupsPath', message: fault }],
    hint: 'Give a path like "/group/name", or none.',
  });
}

function unitPath(asked: string): string | undefined {
  const [slice, prefix, name, ...more] = asked.split(':');
  if (name === undefined || more.length > 0 || asked.includes('/')) return undefined;
  const unit = prefix === '' ? `${name}.scope` : `${prefix}-${name}.scope`;
  return slice === '' ? unit : `${slice}/${unit}`;
}

function partFault(part: string): string | undefined {
  if (part === '..') return 'it leads upwards';
  if (part.length > 255) return 'a name in it has more than 255 characters';
  // The kernel refuses a newline; a name with a NUL would end there.
  return /[\n\0]/.test(part) ? 'a name in it has a character that no cgroup can have' : undefined;
}
