import type { Issue } from '../errors.ts';
import { parseBytes } from './bytes.ts';
import type { MountOption } from './options.ts';
import { hasOwn } from './own.ts';
import { pointerOf } from './pointer.ts';
import type { Draft, Mount } from './types.ts';

/** What is to be mounted for a volume: a directory of the host, or a new file system in memory. */
export interface VolumeMount {
  readonly type: 'bind' | 'tmpfs';
  readonly source: string;
  /** Beside those that every volume has. */
  readonly options: readonly string[];
}

/** What there is for each volume, by name. */
export type Volumes = Readonly<Record<string, VolumeMount>>;

/** What the sources of mounts are relative to, or names of. */
export interface MountContext {
  readonly cwd?: string | undefined;
  readonly volumes?: Volumes | undefined;
}

/** The mounts of the options as the OCI configuration has them. */
export function specMounts(mounts: readonly MountOption[], context: MountContext, issues: Issue[]): Draft<Mount>[] {
  return mounts.flatMap((mount, i) => {
    if (mount.type === 'tmpfs') return [tmpfs(mount)];
    if (mount.type === 'bind') return [bind(bindSource(mount.source, context), mount)];
    const name = volumeName(mount) ?? '';
    const found = context.volumes !== undefined && hasOwn(context.volumes, name) ? context.volumes[name] : undefined;
    if (found !== undefined) return [volume(found, mount)];
    issues.push({ path: pointerOf('mounts', i, 'source'), message: `there is no volume ${JSON.stringify(name)}` });
    return [];
  });
}

type VolumeOption = Extract<MountOption, { type: 'volume' }>;

/** Undefined for a volume that nobody has named. */
export const volumeName = ({ source }: VolumeOption): string | undefined =>
  typeof source === 'object' ? source.name : source;

function volume({ type, source, options }: VolumeMount, mount: VolumeOption): Draft<Mount> {
  if (type === 'bind') {
    const made = bind(source, mount);
    return { ...made, options: [...(made.options ?? []), ...options] };
  }
  return { destination: mount.target, type, source, options: [...options, ...(mount.readonly === true ? ['ro'] : [])] };
}

function bindSource(source: string, { cwd }: MountContext): string {
  return source.startsWith('/') || cwd === undefined ? source : `${cwd}/${source}`;
}

function bind(source: string, mount: Extract<MountOption, { type: 'bind' | 'volume' }>): Draft<Mount> {
  const options = ['rbind', 'rprivate'];
  // `rro`: `ro` alone would leave the mounts below writable.
  if (mount.readonly === true) options.push('rro');
  return { destination: mount.target, type: 'bind', source, options };
}

function tmpfs({ target, size, mode }: Extract<MountOption, { type: 'tmpfs' }>): Draft<Mount> {
  const options = ['nosuid', 'nodev', 'noexec'];
  const bytes = parseBytes(size);
  if (bytes !== undefined) options.push(`size=${bytes}`);
  if (mode !== undefined) options.push(`mode=${mode.toString(8).padStart(4, '0')}`);
  return { destination: target, type: 'tmpfs', source: 'tmpfs', options };
}
