// PostgreSQL in tests: node --test examples/database.test.js
// Its image is made of Debian's packages the first time, by mmdebstrap, which needs neither root nor a daemon.
// prints: pass 3
import { strictEqual } from 'node:assert';
import { spawn } from 'node:child_process';
import { after, before, describe, test } from 'node:test';
import { createContainer, images, ready } from 'runts';

const image = 'debian-postgres:12';

before(async () => {
  if ((await images.list({ reference: image })).length > 0) return;
  const packages = ['--quiet', '--variant=essential', '--include=postgresql', 'bookworm', '-'];
  const made = spawn('mmdebstrap', packages, { stdio: ['ignore', 'pipe', 'inherit'] });
  await images.import(made.stdout, {
    reference: image,
    changes: [
      'CMD ["/usr/lib/postgresql/15/bin/postgres", "-D", "/etc/postgresql/15/main", "-k", "/tmp"]',
      'ENV PGHOST=/tmp',
      'USER postgres',
      'STOPSIGNAL SIGINT',
    ],
  });
});

test('a database of its own answers a query', async (context) => {
  const postgres = await createContainer({ image, ready: ready.exec(['pg_isready']) });
  // In TypeScript, and in Node 24: `await using postgres = …` instead.
  context.after(() => postgres.remove({ force: true }));
  await postgres.start({ timeout: 30_000 });
  const { stdout } = await postgres.exec(['psql', '-Atc', 'select 6 * 7']);
  strictEqual(stdout, '42\n');
});

describe('a database that was migrated once', () => {
  /** @type {import('runts').Snapshot} */
  let migrated;

  before(async () => {
    const postgres = await createContainer({ image, ready: ready.exec(['pg_isready']) });
    try {
      await postgres.start({ timeout: 30_000 });
      await postgres.exec(['psql', '-c', 'create table users (name text)']);
      await postgres.stop();
      migrated = await postgres.snapshot();
    } finally {
      await postgres.remove({ force: true });
    }
  });
  after(() => migrated.remove());

  for (const name of ['ada', 'grace']) {
    test(`${name} is alone in hers`, async (context) => {
      const postgres = await createContainer({ from: migrated });
      context.after(() => postgres.remove({ force: true }));
      await postgres.start({ timeout: 30_000 });
      await postgres.exec(['psql', '-c', `insert into users values ('${name}')`]);
      const { stdout } = await postgres.exec(['psql', '-Atc', 'select * from users']);
      strictEqual(stdout, `${name}\n`);
    });
  }
});
