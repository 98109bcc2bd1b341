import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { findPlugin, placesOf, pluginNames, standardPlaces } from '../../../lib/volumes/plugins/discovery.ts';
import { temporaryDirectory } from '../../support/unpacked.ts';

async function place(files: Readonly<Record<string, string>>) {
  const directory = await temporaryDirectory();
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(join(directory, name, '..'), { recursive: true });
    writeFileSync(join(directory, name), content);
  }
  return { directory, places: { sockets: [directory], specs: [directory] } };
}

async function listenAt(path: string): Promise<void> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(path, resolve));
  onTestFinished(() => void server.close());
}

test('Docker’s directories are looked into, after those of one’s own', () => {
  expect(placesOf(['/own'])).toEqual({
    sockets: ['/own', '/run/docker/plugins'],
    specs: ['/own', '/etc/docker/plugins', '/usr/lib/docker/plugins'],
  });
  expect(placesOf([])).toEqual(standardPlaces);
});

test('a socket comes before a .spec, and that before a .json; each may be in a directory of its name', async () => {
  const json = JSON.stringify({ Name: 'c', Addr: 'tcp://10.0.0.1:8080' });
  const { directory, places } = await place({
    'a.spec': 'tcp://localhost:1\n',
    'b/b.spec': ' unix:///run/b.sock ',
    'b.json': json,
    'c/c.json': json,
    'd.txt': '',
    'e/other.spec': '',
  });
  await listenAt(join(directory, 'a.sock'));
  expect(await findPlugin('a', places)).toEqual({ kind: 'unix', path: join(directory, 'a.sock') });
  expect(await findPlugin('b', places)).toEqual({ kind: 'unix', path: '/run/b.sock' });
  expect(await findPlugin('c', places)).toEqual({ kind: 'tcp', host: '10.0.0.1', port: 8080, tls: undefined });
  expect([...(await pluginNames(places))].sort()).toEqual(['a', 'b', 'c']);
});

test('a .json may have a TLS configuration', async () => {
  const TLSConfig = { InsecureSkipVerify: false, CAFile: '/ca.pem', CertFile: '/cert.pem', KeyFile: '/key.pem' };
  const { places } = await place({
    't.json': JSON.stringify({ Name: 't', Addr: 'https://plugin.example', TLSConfig }),
  });
  expect(await findPlugin('t', places)).toEqual({
    ...{ kind: 'tcp', host: 'plugin.example', port: 443 },
    tls: { insecureSkipVerify: false, caFile: '/ca.pem', certFile: '/cert.pem', keyFile: '/key.pem' },
  });
});

test.each([
  ['x.spec', '', 'is no address'],
  ['x.spec', 'unix://relative', 'is no address'],
  ['x.spec', 'file:///etc/passwd', 'is no address'],
  ['x.spec', 'tcp://user@host:1', 'is no address'],
  ['x.spec', 'y'.repeat(100_000), 'no file of a plugin’s size'],
  ['x.json', '{', 'not JSON'],
  ['x.json', 'null', 'no "Addr"'],
  ['x.json', '{"Addr":7}', 'no "Addr"'],
  ['x.json', '{"Addr":"tcp://h:1","TLSConfig":{"CAFile":"ca.pem"}}', 'not an absolute path'],
])('%s with %.30j is a file that cannot be used', async (name, content, why) => {
  const { places } = await place({ [name]: content });
  await expect(findPlugin('x', places)).rejects.toMatchObject({
    code: 'ERR_DRIVER',
    message: expect.stringContaining(why),
  });
});

test.each(['none', '../x', '', 'a/b', '.', 'x\0'])('%j is no plugin', async (name) => {
  const { places } = await place({ 'x.spec': 'tcp://h:1' });
  await expect(findPlugin(name, places)).rejects.toMatchObject({ code: 'ERR_NOT_FOUND' });
});
