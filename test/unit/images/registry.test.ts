import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parsePlatform } from '../../../lib/images/platform.ts';
import { parseChallenges } from '../../../lib/images/registry/challenge.ts';
import { checkRegistries, loadRegistryConfig } from '../../../lib/images/registry/config.ts';
import { DockerConfig } from '../../../lib/images/registry/docker-config.ts';
import { proxyFor } from '../../../lib/images/registry/proxies.ts';
import { temporaryDirectory } from '../../support/unpacked.ts';

const challengesOf = (header: string) =>
  parseChallenges(header).map(({ scheme, parameters }) => [scheme, Object.fromEntries(parameters)]);

test('challenges are read with commas, quotes and escapes, several in one header', () => {
  expect(challengesOf('Bearer realm="https://a.test/t?x=1,2",service="a \\"b\\"", scope="x"')).toEqual([
    ['bearer', { realm: 'https://a.test/t?x=1,2', service: 'a "b"', scope: 'x' }],
  ]);
  expect(challengesOf('Negotiate, BASIC realm=here, Bearer Realm="t" , service=s')).toEqual([
    ['negotiate', {}],
    ['basic', { realm: 'here' }],
    ['bearer', { realm: 't', service: 's' }],
  ]);
  expect(challengesOf('NTLM TlRMTVNTUAAC==, Basic realm="a", realm="b"')).toEqual([
    ['ntlm', {}],
    ['basic', { realm: 'a' }],
  ]);
  expect(challengesOf('Bearer realm="no end')).toEqual([['bearer', {}]]);
  expect(challengesOf('"')).toEqual([]);
});

test('whatever a header has, it is read to an end', () => {
  const text = fc.array(fc.constantFrom(...'aB="\\, \t;é=')).map((each) => each.join(''));
  fc.assert(fc.property(text, (header) => parseChallenges(header).every(({ scheme }) => scheme !== '')));
});

test('a proxy is the environment’s, but for what it excepts and this machine', () => {
  const proxy = (url: string, environment: Record<string, string>) => proxyFor(new URL(url), environment)?.href;
  const both = { HTTP_PROXY: 'http://p.test:1', HTTPS_PROXY: 'p.test:2', NO_PROXY: 'a.test,.b.test,c.test:8443' };
  expect(proxy('http://x.test', both)).toBe('http://p.test:1/');
  expect(proxy('https://x.test', both)).toBe('http://p.test:2/');
  for (const url of [
    'https://a.test',
    'https://z.a.test',
    'https://z.b.test',
    'https://c.test:8443',
    'http://localhost:5000',
  ]) {
    expect(proxy(url, both), url).toBeUndefined();
  }
  expect(proxy('https://c.test', both)).toBeDefined();
  expect(proxy('https://nota.test', both)).toBeDefined();
  expect(proxy('https://x.test', { ...both, no_proxy: '*' })).toBeUndefined();
  expect(proxy('https://x.test', { HTTPS_PROXY: 'socks5://p.test' })).toBeUndefined();
});

test('what is configured of registries is checked whole', () => {
  expect(checkRegistries({ 'docker.io': { mirrors: ['https://m.test:5000'] }, 'a.test': { insecure: true } })).toEqual({
    'docker.io': { mirrors: ['https://m.test:5000'] },
    'a.test': { insecure: true },
  });
  const wrong = { 'a b': {}, 'c.test': { insecure: 1, mirrors: ['m.test', 'https://m.test/path'], ca: 'x' } };
  expect(() => checkRegistries(wrong, 'x.json')).toThrow(
    [
      'cannot use x.json:',
      '  /a b: is no name of a registry, as in localhost:5000',
      '  /c.test/insecure: must be true or false',
      '  /c.test/mirrors/0: must be an address without a path, as in https://mirror.example:5000',
      '  /c.test/mirrors/1: must be an address without a path, as in https://mirror.example:5000',
      '  /c.test/ca: unknown setting; there are mirrors and insecure',
    ].join('\n'),
  );
});

test('registries.json of the user is read, and what a program says goes over it', async () => {
  const home = await temporaryDirectory();
  mkdirSync(join(home, '.config/runts'), { recursive: true });
  const file = join(home, '.config/runts/registries.json');
  writeFileSync(file, '{"a.test":{"insecure":true},"b.test":{"insecure":true}}');
  const { registries, certificates } = await loadRegistryConfig({ 'a.test': { insecure: false } }, { HOME: home });
  expect(registries).toEqual({ 'a.test': { insecure: false }, 'b.test': { insecure: true } });
  expect(certificates[0]).toBe(join(home, '.config/runts/certs.d'));
  writeFileSync(file, '{');
  await expect(loadRegistryConfig({}, { HOME: home })).rejects.toThrow(`${file} is not JSON`);
});

test('credentials are found in config.json under any name that programs have given a registry', async () => {
  const directory = await temporaryDirectory();
  const config = new DockerConfig({ DOCKER_CONFIG: directory, PATH: '/nonexistent' });
  const auth = (pair: string) => Buffer.from(pair).toString('base64');
  const write = (document: unknown) => writeFileSync(join(directory, 'config.json'), JSON.stringify(document));

  expect(await config.credentials('a.test')).toBeUndefined();
  write({
    auths: {
      'https://index.docker.io/v1/': { auth: auth('hub:p:w') },
      'https://a.test/v2/': { auth: auth('a:1') },
      'b.test': { identitytoken: 't', auth: auth('b:') },
      'c.test': { auth: auth('nocolon') },
      'd.test': {},
    },
  });
  expect(await config.credentials('docker.io')).toEqual({ username: 'hub', password: 'p:w' });
  expect(await config.credentials('a.test')).toEqual({ username: 'a', password: '1' });
  expect(await config.credentials('b.test')).toEqual({ identityToken: 't' });
  await expect(config.credentials('c.test')).rejects.toMatchObject({ code: 'ERR_SETUP' });
  expect(await config.credentials('d.test')).toBeUndefined();
  expect(await config.credentials('__proto__')).toBeUndefined();

  write({ credsStore: 'not-there' });
  await expect(config.credentials('a.test')).rejects.toMatchObject({ code: 'ERR_NOT_FOUND' });
  write({ credHelpers: { 'a.test': '../evil' } });
  await expect(config.credentials('a.test')).rejects.toMatchObject({ code: 'ERR_SPEC' });
  write([]);
  await expect(config.credentials('a.test')).rejects.toThrow(/no JSON object/);
});

test('a platform is read as --platform takes it', () => {
  expect(parsePlatform('linux/arm/v7')).toEqual({ os: 'linux', architecture: 'arm', variant: 'v7' });
  expect(parsePlatform('linux/aarch64')).toEqual({ os: 'linux', architecture: 'arm64' });
  expect(parsePlatform('armhf')).toEqual({ os: 'linux', architecture: 'arm', variant: 'v7' });
  for (const text of ['', 'a/b/c/d', 'linux/', '/', 'linux/a b'])
    expect(() => parsePlatform(text)).toThrow(/no platform/);
});
