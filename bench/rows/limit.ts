import type { Subject } from '../row.ts';
import type { World } from '../world.ts';

/** What the kernel itself takes: the first contender of most rows. */
export const limit = ({ limit: program }: World, order = 'container'): Subject => ({
  name: 'C program',
  once: () => program.ms(order),
});
