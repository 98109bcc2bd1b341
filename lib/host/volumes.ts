import { RuntsError } from '../errors.ts';
import type { Facts } from '../plan/facts.ts';
import type { ImageConfig } from '../spec/image-config.ts';
import { type VolumeMount, volumeName } from '../spec/mounts-from-options.ts';
import type { CommonOptions, ContainerOptions, MountOption } from '../spec/options.ts';
import { normalizePath } from '../spec/paths.ts';
import type { Cancel } from './cancel.ts';
import type { Host } from './host.ts';

/** Volumes are locks, drivers and plugins: Node's business. */
export interface VolumePort {
  /** The name of a volume that nobody has named. */
  newName(): string;
  /** Makes the volumes of a container that are not there, fills those that are empty, and holds them. */
  open(request: VolumesRequest): Promise<OpenVolumes>;
  /** Of a container that was detached, and whose record is gone: drivers hear of it, and what nobody has named is removed. */
  forget(names: readonly ForgottenVolume[]): Promise<void>;
  /**
   * Before a detached container is started: what drivers had mounted for it and have not any more, after a reboot or an end of
   * theirs, they are to mount once more. Gives what was mounted.
   */
  mountAgain(request: MountAgain): Promise<Readonly<Record<string, MountedVolume>>>;
}

/** Where a driver has mounted a volume, and by what it is seen that it still has. */
export interface MountedVolume {
  readonly path: string;
  /** The number of its file system. */
  readonly device: string;
  readonly boot: string;
}

export interface MountAgain {
  /** What people call it. */
  readonly container: string;
  /** What its uses are noted with. */
  readonly record: string;
  readonly mounted: Readonly<Record<string, MountedVolume>>;
}

export interface ForgottenVolume {
  readonly name: string;
  /** It is removed, too, unless somebody else has it. */
  readonly remove: boolean;
}

export interface VolumesRequest {
  readonly facts: Facts;
  /** Of the container. */
  readonly id: string;
  /** What people call it. */
  readonly name: string;
  readonly userns: CommonOptions['userns'];
  readonly volumes: readonly VolumeWanted[];
  /** It has a root file system of its own, made of an image: what is in it where a volume comes is the volume's first content. */
  readonly ofImage: boolean;
  /** Of a container that is detached: once we let go, it uses them as long as this file is there. */
  readonly record?: string | undefined;
  readonly cancel?: Cancel | undefined;
}

export interface VolumeWanted {
  readonly name: string;
  readonly target: string;
  /** Nobody has named it: it goes with the container. */
  readonly anonymous: boolean;
  readonly copy: boolean;
}

export interface OpenVolumes {
  /** What is to be mounted, by the name of the volume. */
  readonly mounts: Readonly<Record<string, VolumeMount>>;
  /** What drivers have mounted for a container that is detached, by the name of the volume. */
  readonly mounted: Readonly<Record<string, MountedVolume>>;
  /** Lets go of them. Those that nobody has named are removed, unless they are to be kept. The container must have ended. */
  release(options: { readonly keep: boolean }): Promise<void>;
  /** Lets go of them: they stay the container's, as long as its record is there. */
  settle(): Promise<void>;
}

/** What a volume is while a plan is only tried: its place is not known yet. */
export const standVolume: VolumeMount = { type: 'bind', source: '/volume', options: [] };

/** For a plan that is only printed: where volumes would be, and none is made. */
export const volumesToCome = ({ environment }: Host): VolumePort => ({
  newName: () => 'new',
  open: async ({ volumes }) => ({
    mounts: Object.fromEntries(
      volumes.map(({ name }) => [
        name,
        { ...standVolume, source: `${environment.dataDirectory}/volumes/${name}/_data` },
      ]),
    ),
    mounted: {},
    release: async () => undefined,
    settle: async () => undefined,
  }),
  forget: async () => undefined,
  mountAgain: async () => ({}),
});

/** Marks names that we gave: a Volume of the caller may be one that nobody named, and is theirs all the same. */
const unnamed = Symbol('unnamed');

/** As long as no port makes volumes, a container of an image has none of its own, as if the image said nothing of them. */
export function withImageVolumes(
  options: ContainerOptions,
  image: ImageConfig | undefined,
  port: VolumePort | undefined,
): ContainerOptions {
  const { mounts = [] } = options;
  const asked = new Set(mounts.map(({ target }) => normalizePath(target)));
  const paths = port === undefined ? [] : Object.keys(image?.Volumes ?? {});
  const more = paths
    .filter((path) => path.startsWith('/') && normalizePath(path) !== '/' && !asked.has(normalizePath(path)))
    .map((target): MountOption => ({ type: 'volume', target }));
  const all = [...mounts, ...more].map((mount): MountOption => {
    if (mount.type !== 'volume' || mount.source !== undefined || port === undefined) return mount;
    return { ...mount, source: { name: port.newName(), [unnamed]: true } as { readonly name: string } };
  });
  return all.length === 0 ? options : { ...options, mounts: all };
}

/** The volumes that options speak of. */
export function wantedVolumes({ mounts = [] }: CommonOptions): VolumeWanted[] {
  return mounts.flatMap((mount) => {
    if (mount.type !== 'volume') return [];
    const { source, target, copy = true } = mount;
    const anonymous = typeof source === 'object' && unnamed in source;
    return [{ name: volumeName(mount) ?? '', target, anonymous, copy }];
  });
}

/** Makes and holds the volumes of a container; undefined where it has none. */
export async function holdVolumes(
  facts: Facts,
  request: {
    readonly options: ContainerOptions;
    readonly id: string;
    readonly volumes?: VolumePort | undefined;
    readonly detached?: { readonly record: string } | undefined;
    readonly cancel?: Cancel | undefined;
  },
  source: { readonly made?: unknown },
): Promise<OpenVolumes | undefined> {
  const { options, id, volumes: port, cancel } = request;
  const volumes = wantedVolumes(options);
  if (volumes.length === 0) return undefined;
  if (port === undefined) {
    throw new RuntsError('ERR_UNSUPPORTED', 'cannot make a container of these options: there are no volumes here', {
      origin: '/mounts',
      hint: 'Use a bind mount, or a tmpfs.',
    });
  }
  const { name = id, userns } = options;
  return port.open({
    facts,
    id,
    name,
    userns,
    volumes,
    ofImage: source.made !== undefined,
    record: request.detached?.record,
    cancel,
  });
}
