// A server in a container, reached by its unix socket in a directory of this machine: node --test examples/server.test.js
// prints: pass 1
import { strictEqual } from 'node:assert';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { createContainer, ready } from 'runts';

const program = `
  const server = require('node:http').createServer((_, response) => response.end('hello'));
  server.listen('/sockets/web', () => console.log('listening'));`;

test('a server answers at its socket', async (context) => {
  const directory = await mkdtemp(join(tmpdir(), 'server-'));
  context.after(() => rm(directory, { recursive: true }));
  // Root's containers have other ids than root: to make files here, they need a directory that is open to everybody. Nobody
  // else gets to it, for the one above it is ours alone.
  const sockets = join(directory, 'sockets');
  await mkdir(sockets);
  await chmod(sockets, 0o777);

  const server = await createContainer({
    host: true,
    command: ['/node', '-e', program],
    mounts: [
      { type: 'bind', source: sockets, target: '/sockets' },
      { type: 'bind', source: process.execPath, target: '/node', readonly: true },
    ],
    ready: ready.log('listening'),
  });
  context.after(() => server.remove({ force: true }));
  await server.start({ timeout: 30_000 });

  const [response] = await once(get({ socketPath: join(sockets, 'web') }), 'response');
  strictEqual((await response.toArray()).join(''), 'hello');
});
