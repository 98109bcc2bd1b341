// What the package's entries are made of, each with what it needs in few files: to load the 350 modules of dist/lib one by
// one takes Node more than twice as long. From what tsc made, and so after it; what is imported when needed stays apart.
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'rolldown';

const root = fileURLToPath(new URL('../..', import.meta.url));
const lib = join(root, 'dist/lib');
const to = join(root, 'dist/bundle');

rmSync(to, { recursive: true, force: true });
await build({
  input: {
    index: join(lib, 'index.js'),
    unsafe: join(lib, 'unsafe.js'),
    vitest: join(lib, 'vitest.js'),
    'command-line': join(lib, 'cli/main.js'),
    world: join(lib, 'node/world.js'),
    reap: join(lib, 'ephemeral/reap.js'),
  },
  platform: 'node',
  // Dependencies stay packages of their own, which can be audited and updated.
  external: /^[^./]/,
  logLevel: 'warn',
  checks: { ineffectiveDynamicImport: false },
  output: { format: 'esm', dir: to },
});
