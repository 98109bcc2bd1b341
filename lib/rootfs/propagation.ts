import { RuntsError } from '../errors.ts';
import type { Builder } from '../program/builder.ts';
import { type PropagationWord, propagations } from './attributes.ts';

/** `rslave` -> slave, recursively. */
export function rootPropagation(word: string): { readonly flags: number; readonly recursive: boolean } {
  const recursive = !(word in propagations) && word.startsWith('r');
  const flags = propagations[(recursive ? word.slice(1) : word) as PropagationWord];
  if (flags !== undefined) return { flags, recursive };
  const message = `there is no propagation "${word}"`;
  throw new RuntsError('ERR_SPEC', `cannot set the propagation of the root: ${message}`, {
    origin: '/linux/rootfsPropagation',
    issues: [{ path: '/linux/rootfsPropagation', message }],
    hint: 'There are private, slave, shared and unbindable, each also with an r before it.',
  });
}

/**
 * Cuts the new mount namespace off from the host: nothing mounted in it gets out. With `receives`, mounts that are made
 * on the host later still come in.
 */
export function separateMounts(ops: Builder, receives: boolean, origin: string): void {
  ops.op('propagation', { flags: receives ? propagations.slave : propagations.private }, origin);
}

/** What the configuration wants for the root, once it is the root. */
export function setRootPropagation(ops: Builder, word: string): void {
  const { flags, recursive } = rootPropagation(word);
  ops.op('root_propagation', { flags, recursive: recursive ? 1 : 0 }, '/linux/rootfsPropagation');
}
