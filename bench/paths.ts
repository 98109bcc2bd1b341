import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Where package.json is: this file runs from dist/bench. */
export const packageRoot = fileURLToPath(new URL('../..', import.meta.url));
export const commandLine = join(packageRoot, 'bin/runts.js');
/** What peers are spawned from. */
export const spawner = join(packageRoot, 'dist/bench/spawner.js');
/** The static command line, where it was built (`npm run build:tiny`). */
export const staticCommandLine = join(packageRoot, 'build/tiny/runts');
