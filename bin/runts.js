#!/usr/bin/env node
import module from 'node:module';

// Node 22 on keeps compiled code between runs; asked for before anything of ours is loaded.
module.enableCompileCache?.();
// What we make is ours to read and write again, whatever our caller keeps from itself: state, locks, sockets.
process.umask(process.umask() & 0o077);
try {
  const [{ main }, { createWorld, leave }] = await Promise.all([
    import('../dist/bundle/command-line.js'),
    import('../dist/bundle/world.js'),
  ]);
  leave(await main(process.argv.slice(2), createWorld()));
} catch (error) {
  // Not built, not for this platform, or no descriptors left to load it by: everything else is told by main.
  const hint = error.code === 'EMFILE' ? 'Raise the limit on open files (`ulimit -n`).' : error.hint;
  process.stderr.write(`runts: ${error.message}${hint ? ` (${hint})` : ''}\n`);
  process.exitCode = 125;
}
