import type { EmptyMounts } from '../host/empty-mounts.ts';
import type { Host } from '../host/host.ts';
import type { ImagePort } from '../host/image.ts';
import type { Reserve } from '../host/reserve.ts';
import type { VolumePort } from '../host/volumes.ts';
import type { Facts } from '../plan/facts.ts';
import type { DetachedContainer } from './detached/container.ts';
import type { ContainerEvent } from './events.ts';
import type { OwnContainer } from './own.ts';
import type { Pool } from './pool.ts';
import type { Repeats } from './repeats.ts';
import type { Snapshots } from './snapshots.ts';

/** Where a container lives: what it needs of the runtime that owns it. */
export interface Home {
  readonly host: Host;
  readonly images: ImagePort;
  readonly volumes: VolumePort;
  readonly snapshots: Snapshots;
  /** By which containers leave the mounts of the host. */
  readonly emptyMounts: EmptyMounts;
  /** What is made ahead for containers of images. */
  readonly reserve: Reserve;
  /** Containers that were made ahead. */
  readonly pool: Pool;
  /** What is run again and again; undefined where containers are made ahead for that. */
  readonly repeats: Repeats | undefined;
  /** What this host can do; found out once. */
  facts(): Promise<Facts>;
  newId(): string;
  adopt(container: OwnContainer): void;
  forget(container: OwnContainer): void;
  /** Looks on a detached container that runs, for what becomes of it. */
  watch(container: DetachedContainer): void;
  /** Tells who listens what became of a container. */
  tell(event: ContainerEvent): void;
}
