// A database in a test, made of Debian's packages by mmdebstrap the first time: node --test examples/database.test.js
// prints: pass 2
import { strictEqual } from 'node:assert';
import { spawn } from 'node:child_process';
import { after, before, test } from 'node:test';
import { createContainer, images, ready } from 'runts';

/** @type {import('runts').Snapshot} */
let filled;

before(async () => {
  const there = await images.list({ reference: 'debian-redis:12' });
  if (there.length === 0) {
    const packages = ['--quiet', '--variant=essential', '--include=redis-server', 'bookworm', '-'];
    const made = spawn('mmdebstrap', packages, { stdio: ['ignore', 'pipe', 'inherit'] });
    await images.import(made.stdout, { reference: 'debian-redis:12' });
  }
  // Filled once; each test has a container of its own that begins here.
  const redis = await createContainer({
    image: 'debian-redis:12',
    command: ['redis-server', '--dir', '/srv', '--unixsocket', '/tmp/redis'],
    ready: ready.exec(['redis-cli', '-s', '/tmp/redis', 'ping']),
  });
  // In TypeScript, and in Node 24: `await using redis = …` instead of try and finally.
  try {
    await redis.start({ timeout: 30_000 });
    await redis.exec(['redis-cli', '-s', '/tmp/redis', 'set', 'users', '1']);
    await redis.exec(['redis-cli', '-s', '/tmp/redis', 'save']);
    await redis.stop();
    filled = await redis.snapshot();
  } finally {
    await redis.remove({ force: true });
  }
});
after(() => filled.remove());

for (const name of ['one test', 'another']) {
  test(`${name} begins with one user`, async (context) => {
    const redis = await createContainer({ from: filled });
    context.after(() => redis.remove({ force: true }));
    await redis.start({ timeout: 30_000 });
    const { stdout } = await redis.exec(['redis-cli', '-s', '/tmp/redis', 'incr', 'users']);
    strictEqual(stdout.trim(), '2');
  });
}
