import { RuntsError } from '../errors.ts';
import type { Platform } from './source.ts';

/** Other names of architectures, and the variant that goes with them. */
const aliases: Readonly<Record<string, readonly [architecture: string, variant?: string]>> = {
  x86_64: ['amd64'],
  'x86-64': ['amd64'],
  aarch64: ['arm64'],
  armhf: ['arm', 'v7'],
  armel: ['arm', 'v6'],
  i386: ['386'],
};

const word = /^[A-Za-z0-9_.-]+$/;

/** Reads a platform as `--platform` takes it: `linux/arm64`, `linux/arm/v7`, or the architecture alone. */
export function parsePlatform(text: string): Platform {
  const parts = text.toLowerCase().split('/');
  const [os, name, given] = parts.length === 1 ? ['linux', parts[0]] : parts;
  if (parts.length > 3 || os === undefined || name === undefined || !parts.every((part) => word.test(part))) {
    throw new RuntsError('ERR_SPEC', `${JSON.stringify(text)} is no platform`, {
      hint: 'A platform is as in linux/amd64 or linux/arm/v7.',
    });
  }
  const [architecture, usual] = Object.hasOwn(aliases, name) ? aliases[name]! : [name];
  const variant = given ?? usual;
  return { os, architecture, ...(variant !== undefined && { variant }) };
}
