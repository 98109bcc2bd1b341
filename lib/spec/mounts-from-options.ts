import type { Issue } from '../errors.ts';
import { parseBytes } from './bytes.ts';
import type { MountOption } from './options.ts';
import { hasOwn } from './own.ts';
import { pointerOf } from './pointer.ts';
import type { Draft, Mount } from './types.ts';

/** Where each volume lies on the host, by name. */
export type Volumes = Readonly<Record<string, string>>;

/** What the sources of mounts are relative to, or names of. */
export interface MountContext {
  readonly cwd?: string | undefined;
  readonly volumes?: Volumes | undefined;
}

/** The mounts of the options as the OCI configuration has them. */
export function specMounts(mounts: readonly MountOption[], context: MountContext, issues: Issue[]): Draft<Mount>[] {
  return mounts.flatMap((mount, i) => {
    if (mount.type === 'tmpfs') return [tmpfs(mount)];
    const source = mount.type === 'bind' ? bindSource(mount.source, context) : volumeSource(mount.source, context);
    if (source !== undefined) return [bind(source, mount)];
    const name = typeof mount.source === 'string' ? mount.source : mount.source.name;
    issues.push({ path: pointerOf('mounts', i, 'source'), message: `there is no volume ${JSON.stringify(name)}` });
    return [];
  });
}

function bindSource(source: string, { cwd }: MountContext): string {
  return source.startsWith('/') || cwd === undefined ? source : `${cwd}/${source}`;
}

function volumeSource(
  source: Extract<MountOption, { type: 'volume' }>['source'],
  context: MountContext,
): string | undefined {
  const { volumes = {} } = context;
  const name = typeof source === 'string' ? source : source.name;
  return hasOwn(volumes, name) ? volumes[name] : undefined;
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
