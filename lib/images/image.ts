import type { ImageConfig } from '../spec/image-config.ts';
import { repoDigests } from './inspect.ts';
import { matches, type PruneFilter } from './prune.ts';
import { familiarName, parseReference } from './reference.ts';
import type { StoredImage } from './store/store.ts';

/** An image that is stored here. */
export interface Image {
  /** The digest of its configuration. */
  readonly id: string;
  /** The digest of its manifest. */
  readonly digest: string;
  /** In full: `docker.io/library/debian:12`. */
  readonly references: readonly string[];
  /** `debian@sha256:…` */
  readonly repoDigests: readonly string[];
  /** Bytes as stored. */
  readonly size: number;
  /** As its configuration has it; undefined where that does not say. */
  readonly created: Date | undefined;
  /** `linux/amd64` */
  readonly platform: { readonly os: string; readonly architecture: string; readonly variant?: string | undefined };
  /** What containers of it begin with: command, variables, user, … */
  readonly config: ImageConfig;
  /** Containers that were made of it. */
  readonly containers: readonly string[];
}

/** Which images `images.list` gives; without any, all. */
export interface ImageFilter extends PruneFilter {
  /** A repository (`debian`) or a whole name (`debian:12`). */
  readonly reference?: string | undefined;
  /** Only images without a name, or only those with one. */
  readonly dangling?: boolean | undefined;
}

export function shown(image: StoredImage, containers: readonly string[]): Image {
  const { id, descriptor, names, size, document } = image;
  const created = new Date(document.created ?? '');
  return {
    id,
    digest: descriptor.digest,
    references: names.map(({ reference }) => reference),
    repoDigests: repoDigests(image),
    size,
    created: Number.isNaN(created.getTime()) ? undefined : created,
    platform: document.platform,
    config: document.config,
    containers,
  };
}

export const newestFirst = (a: Image, b: Image): number => (b.created?.getTime() ?? 0) - (a.created?.getTime() ?? 0);

export function isMeant(image: StoredImage, { reference, dangling, ...filter }: ImageFilter): boolean {
  if (dangling !== undefined && (image.names.length === 0) !== dangling) return false;
  if (reference !== undefined && !image.names.some((each) => isOf(each.reference, reference))) return false;
  return matches(image, filter);
}

/** A pattern as in a shell, for the repository or the whole name. */
export function isOf(name: string, pattern: string): boolean {
  const { domain, path, tag, digest } = parseReference(name);
  const repository = familiarName({ domain, path });
  const escaped = pattern
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replace(/\*/g, '[^/]*')
    .replace(/\?/g, '[^/]');
  const forms = [
    repository,
    `${repository}:${tag}`,
    `${domain}/${path}`,
    `${domain}/${path}:${tag}`,
    `${repository}@${digest}`,
  ];
  return forms.some((form) => new RegExp(`^${escaped}$`).test(form));
}
