// What the keeper of an ephemeral runtime becomes when the runtime's process has ended: removes what that has made.
// Nobody hears what it says: what it cannot do, the next ephemeral runtime of the same data directory tries again.
process.umask(0o077);
try {
  const { inherit } = await import('../dist/bundle/reap.js');
  await inherit(JSON.parse(process.argv[2]));
} catch (error) {
  process.stderr.write(`runts: ${error.stack}\n`);
  process.exitCode = 1;
}
