import type { Lifetime } from '../host/lifetime.ts';
import type { WaitOptions } from '../node/aborted.ts';
import type { ImageEvent } from './events.ts';
import type { PruneFilter } from './prune.ts';
import type { Registries } from './registry/config.ts';
import type { Credentials } from './registry/credentials.ts';
import type { OnProgress } from './transfer/progress.ts';
import type { UnpackedLayers } from './unpacked.ts';

/** What every transfer between here and a registry takes. After the signal, it is undone: ERR_CANCELED. */
export interface TransferOptions {
  /** Credentials; default those that Docker keeps for the registry. */
  readonly auth?: Credentials | undefined;
  /** Hears of each blob, several times. */
  readonly onProgress?: OnProgress | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What `images.pull` brings. */
export interface PullOptions extends TransferOptions {
  /** `linux/arm64`; default this machine's. */
  readonly platform?: string | undefined;
  /** The images of all platforms that the name has. Default `false`. */
  readonly allPlatforms?: boolean | undefined;
  /** Whether its layers are unpacked too, while others are still on their way; else the first container does it. Default true. */
  readonly unpack?: boolean | undefined;
}

/** How `images.remove` takes an image away. */
export interface RemoveImage extends WaitOptions {
  /** Also where a container uses it, and under all of its names. Default `false`. */
  readonly force?: boolean;
}

/** What `images.prune` removes. */
export interface PruneImages extends PruneFilter, WaitOptions {
  /** Every one that no container uses, and not only those without a name. Default `false`. */
  readonly all?: boolean;
  /** Blobs that belong to no image, of a pull that was given up, go when they are as old, in milliseconds; default an hour. */
  readonly graceMs?: number;
}

/** Where images are, and who hears of them. */
export interface ImagesOptions {
  /** The data directory; images are in `images` below it. */
  readonly directory: string;
  /** Settings of registries, over those of the configuration files. */
  readonly registries?: Registries | undefined;
  /** Layers that are unpacked, for containers to share; without, images are only stored. */
  readonly unpacked?: UnpackedLayers | undefined;
  /** Hears of what `events()` tells. */
  readonly tell?: ((event: ImageEvent) => void) | undefined;
  /** What is made by way of this object goes with it; undefined: it stays. */
  readonly lifetime?: Lifetime | undefined;
  /** Whether a container was made ahead, and nobody has it: no image is in use by one. */
  readonly isNobodys?: ((container: string) => boolean) | undefined;
}
