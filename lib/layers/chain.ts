import { createHash } from 'node:crypto';

/** What stands for a layer on top of those below it (image-spec, config.md): the lowest one's is its own digest. */
export function chainIds(diffIds: readonly string[]): string[] {
  const chain: string[] = [];
  for (const diffId of diffIds) {
    const below = chain.at(-1);
    const id =
      below === undefined ? diffId : `sha256:${createHash('sha256').update(`${below} ${diffId}`).digest('hex')}`;
    chain.push(id);
  }
  return chain;
}
