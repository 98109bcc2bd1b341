import type { Readable } from 'node:stream';
import type { ImageConfig } from '../spec/image-config.ts';

/** Something an image is made of, as stored: where in `layers` it stands is its order, the lowest first. */
export interface ImageLayer {
  /** Of the bytes as stored; in the old form of docker-archive, which names none, the same as `diffId`. */
  readonly digest: string;
  /** Of the uncompressed tar stream, as the image's configuration says; to be checked by who unpacks it. */
  readonly diffId: string;
  readonly mediaType: string;
  /** Bytes as stored. */
  readonly size: number;
  /** The bytes as stored; where a digest of them is known, the stream fails at its end if they have another. */
  open(): Readable;
}

/** An image that can be read: from an archive, a directory, a store. Close it when its layers were read. */
export interface ImageSource {
  readonly config: ImageConfig;
  readonly architecture: string;
  readonly os: string;
  /** Of the manifest, or where there is none (docker-archive in its old form) of the configuration. */
  readonly digest: string;
  readonly layers: readonly ImageLayer[];
  close(): Promise<void>;
}

/** The platform to take from an image for several: as in GOOS and GOARCH. */
export interface Platform {
  readonly os: string;
  readonly architecture: string;
  /** Which of the architecture's: `v7` of arm. */
  readonly variant?: string | undefined;
}

export function showPlatform({ os, architecture, variant }: Platform): string {
  return variant === undefined ? `${os}/${architecture}` : `${os}/${architecture}/${variant}`;
}

/** Which image of those in an archive. */
export interface Choice {
  readonly reference?: string | undefined;
  readonly platform: Platform;
}

/** The named files of an archive or a directory. */
export interface ImageFiles {
  /** Bytes in the file of that name; undefined where there is none. */
  size(name: string): Promise<number | undefined>;
  /** The file's bytes; the name is one that `size` knows. */
  open(name: string): Readable;
  /** Names that stand at the top, for messages. */
  top(): Promise<readonly string[]>;
  close(): Promise<void>;
}
