import type { Prepared } from '../host/prepare.ts';
import type { ImageConfig } from '../spec/image-config.ts';

/** The image of a container. */
export interface ContainerImage {
  /** In full, `docker.io/library/debian:12`; undefined for one by path or id. */
  readonly reference: string | undefined;
  /** The digest of its configuration; undefined for one by path. */
  readonly id: string | undefined;
  /** Of its manifest. */
  readonly digest: string;
  /** What its maker says of it, ExposedPorts, Healthcheck and Labels too. */
  readonly config: ImageConfig;
}

/** What a container says of the image that it was made of, where there is one. */
export function containerImage(image: Prepared['image']): ContainerImage | undefined {
  if (image === undefined) return undefined;
  const { reference, id, digest, config } = image;
  return { reference, id, digest, config };
}
