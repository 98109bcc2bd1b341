import { RuntsError } from '../errors.ts';
import type { CommonOptions, ContainerOptions } from './options.ts';

interface NotYet {
  readonly path: string;
  readonly asked: (options: ContainerOptions & CommonOptions) => boolean;
  readonly what: string;
  readonly hint: string;
}

/** Options that have their place, and not their work yet: whoever asks for one is told, and not served without. */
const notYet: readonly NotYet[] = [
  {
    path: '/ports',
    asked: ({ ports = [] }) => ports.length > 0,
    what: 'ports cannot be published yet',
    hint: "Use network: 'host', or a socket in a bind mount.",
  },
  {
    path: '/network',
    asked: ({ network }) => network === 'private' || typeof network === 'object',
    what: 'there are no networks yet but those of the host and none',
    hint: "Use network: 'none' (the default: a network with nothing but lo), or 'host'.",
  },
  {
    path: '/storage',
    asked: ({ storage, image, from }) => storage !== undefined && image === undefined && from === undefined,
    what: 'what is written to a root file system that is not made of an image is not ours to limit',
    hint: 'Take an image, or readonly: true and a tmpfs with a size where it writes.',
  },
];

/** Throws ERR_UNSUPPORTED for the first option that this version cannot serve. */
export function refuseNotYet(options: ContainerOptions & CommonOptions): void {
  const found = notYet.find(({ asked }) => asked(options));
  if (found === undefined) return;
  throw new RuntsError('ERR_UNSUPPORTED', `cannot make a container of these options: ${found.what}`, {
    origin: found.path,
    hint: found.hint,
  });
}
