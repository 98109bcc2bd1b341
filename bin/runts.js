#!/usr/bin/env node
import module from 'node:module';

// Node 22 on keeps compiled code between runs; asked for before anything of ours is loaded.
module.enableCompileCache?.();
try {
  const [{ main }, { createWorld, leave }] = await Promise.all([
    import('../dist/lib/cli/main.js'),
    import('../dist/lib/node/world.js'),
  ]);
  leave(await main(process.argv.slice(2), createWorld()));
} catch (error) {
  // Not built, or not for this platform: everything else is told by main.
  process.stderr.write(`runts: ${error.message}\n${error.hint ? `  hint: ${error.hint}\n` : ''}`);
  process.exitCode = 125;
}
