import type { Runtime } from '../../lib/index.js';

/** A container of a bundle through the library, from nothing to its exit. */
export async function runBundle(runtime: Runtime, bundle: string): Promise<void> {
  await runtime.run({ bundle, stdout: 'ignore', stderr: 'ignore' });
}
