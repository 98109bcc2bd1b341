import type { Created } from './create.ts';
import { withReleaseErrors } from './undo.ts';

/** Ends a container, in whatever state it is, and releases everything it has. Every call waits for the same release. */
export async function remove(created: Created): Promise<void> {
  const [first, ...others] = await created.undo.run();
  if (first !== undefined) throw withReleaseErrors(first, others);
}
