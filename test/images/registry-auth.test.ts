import { chmodSync, cpSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { login, logout } from '../../lib/images/registry/login.ts';
import { testIf } from '../support/requires.ts';
import { temporaryDirectory } from '../support/unpacked.ts';
import { answer, between } from './registry/between.ts';
import { makeIdentity, makePasswords, startRegistry } from './registry/daemon.ts';
import { configFor, newStore, publish, pullTo } from './registry/images.ts';
import { startTokenServer } from './registry/token-server.ts';

const me = { username: 'me', password: 'se:cret ü' };
const needsTls = testIf('docker-registry', 'openssl', 'htpasswd');
const needsTokens = testIf('docker-registry', 'openssl');

/** A registry over TLS that wants a password, and a home in which its authority is trusted. */
async function privateRegistry() {
  const identity = await makeIdentity();
  const path = await makePasswords(me.username, me.password);
  const { host } = await startRegistry({ tls: identity, auth: { htpasswd: { realm: 'here', path } } });
  const home = await temporaryDirectory();
  mkdirSync(join(home, 'certs.d', host), { recursive: true });
  cpSync(identity.ca, join(home, 'certs.d', host, 'ca.crt'));
  return { host, home, config: configFor(home), identity };
}

needsTls('over TLS, with a password: login, push, pull, logout, and no more', async () => {
  const { host, home, config } = await privateRegistry();
  const file = join(home, '.docker/config.json');

  const wrong = login(host, { ...me, password: 'wrong', config });
  await expect(wrong).rejects.toMatchObject({ code: 'ERR_REGISTRY', message: expect.stringContaining('401') });
  expect(existsSync(file)).toBe(false);

  expect(await login(host, { ...me, config })).toEqual({ kept: 'file', path: file });
  expect(statSync(file).mode & 0o777).toBe(0o600);
  const auth = Buffer.from(`${me.username}:${me.password}`).toString('base64');
  expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual({ auths: { [host]: { auth } } });

  await publish(host, 'app', [1000], config);
  const store = await newStore();
  await pullTo(store, `${host}/app`, config);
  expect(await store.verify()).toMatchObject({ blobs: 3, damaged: [], missing: [] });

  expect(await logout(host, config)).toBe(true);
  expect(await logout(host, config)).toBe(false);
  const error = pullTo(await newStore(), `${host}/app`, config);
  await expect(error).rejects.toMatchObject({
    code: 'ERR_REGISTRY',
    message: expect.stringMatching(/answered 401 Unauthorized: authentication required/),
    hint: expect.stringContaining(`runts login ${host}`),
  });
});

needsTls(
  'a certificate by nobody whom we trust is refused, unless the registry is configured as insecure',
  async () => {
    const { host, config } = await privateRegistry();
    const strict = { ...config, certificates: [] };
    await expect(pullTo(await newStore(), `${host}/app`, strict, { auth: me })).rejects.toMatchObject({
      code: 'ERR_REGISTRY',
      hint: expect.stringContaining(`certs.d/${host}/ca.crt`),
    });
    const insecure = { ...strict, registries: { [host]: { insecure: true } } };
    await expect(pullTo(await newStore(), `${host}/app`, insecure, { auth: me })).rejects.toMatchObject({
      code: 'ERR_NOT_FOUND',
    });
  },
);

needsTls(
  'the authorities of NODE_EXTRA_CA_CERTS count as they do for all of Node, and a file that is not there for nothing',
  async () => {
    const { host, config, identity } = await privateRegistry();
    const app = (NODE_EXTRA_CA_CERTS: string) => {
      const environment = { ...config.environment, NODE_EXTRA_CA_CERTS };
      return newStore().then((store) =>
        pullTo(store, `${host}/app`, { ...config, certificates: [], environment }, { auth: me }),
      );
    };
    // Trusted: that there is no such image is what the registry says.
    await expect(app(identity.ca)).rejects.toMatchObject({ code: 'ERR_NOT_FOUND' });
    await expect(app('/nonexistent/ca.crt')).rejects.toMatchObject({
      code: 'ERR_REGISTRY',
      hint: expect.stringContaining('is by nobody whom this machine trusts'),
    });
  },
);

/** docker-credential-test keeps what it is given in a file, and says in which environment it was run. */
function installHelper(home: string): string {
  const directory = join(home, 'helpers');
  mkdirSync(directory);
  const program = join(directory, 'docker-credential-test');
  writeFileSync(
    program,
    `#!/bin/sh
env > '${home}/environment'
case $1 in
  store) cat > '${home}/kept';;
  get) cat > '${home}/asked'; [ -f '${home}/kept' ] && exec cat '${home}/kept'; echo 'credentials not found in native keychain'; exit 1;;
  erase) rm -f '${home}/kept';;
esac
`,
  );
  chmodSync(program, 0o755);
  return directory;
}

needsTls('a credential helper keeps what the file would, found in PATH, without what alters programs', async () => {
  const { host, home, config: base } = await privateRegistry();
  const PATH = `relative:${installHelper(home)}:${process.env['PATH']}`;
  const config = {
    ...base,
    environment: { ...base.environment, PATH, NODE_OPTIONS: '-r x', LD_PRELOAD: 'x', MINE: 'y' },
  };
  mkdirSync(join(home, '.docker'));
  const file = join(home, '.docker/config.json');
  writeFileSync(file, JSON.stringify({ credHelpers: { [host]: 'test' }, other: 1 }));

  expect(await login(host, { ...me, config })).toMatchObject({ kept: 'helper' });
  const kept = JSON.parse(readFileSync(join(home, 'kept'), 'utf8'));
  expect(kept).toEqual({ ServerURL: host, Username: me.username, Secret: me.password });
  expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual({
    credHelpers: { [host]: 'test' },
    other: 1,
    auths: { [host]: {} },
  });
  await publish(host, 'app', [1000], config);
  expect(readFileSync(join(home, 'asked'), 'utf8')).toBe(host);
  const environment = readFileSync(join(home, 'environment'), 'utf8');
  expect(environment).toContain('MINE=y');
  expect(environment).not.toMatch(/NODE_OPTIONS|LD_PRELOAD/);

  expect(await logout(host, config)).toBe(true);
  expect(existsSync(join(home, 'kept'))).toBe(false);
  await expect(pullTo(await newStore(), `${host}/app`, config)).rejects.toMatchObject({ code: 'ERR_REGISTRY' });
});

needsTokens(
  'tokens: strangers read what is public, and the rest after a login, whose password is not kept',
  async () => {
    const identity = await makeIdentity();
    const tokens = await startTokenServer({ identity });
    const { host } = await startRegistry({ auth: tokens.auth });
    const home = await temporaryDirectory();
    const config = configFor(home);

    await expect(publish(host, 'private/app', [1000], config)).rejects.toMatchObject({ code: 'ERR_REGISTRY' });
    await login(host, { username: 'me', password: 'secret', config });
    const kept = JSON.parse(readFileSync(join(home, '.docker/config.json'), 'utf8')).auths[host];
    expect(kept.identitytoken).toMatch(/^[0-9a-f]{32}$/);
    expect(Buffer.from(kept.auth, 'base64').toString()).toBe('me:');

    await publish(host, 'private/app', [1000], config);
    await publish(host, 'public/app', [1000], config);
    tokens.asked.length = 0;
    await pullTo(await newStore(), `${host}/private/app`, config);
    // One token for all of it, by the identity token.
    expect(tokens.asked).toEqual([
      { method: 'POST', scopes: ['repository:private/app:pull'], grant: 'refresh_token', user: undefined },
    ]);

    const stranger = configFor(await temporaryDirectory());
    await pullTo(await newStore(), `${host}/public/app`, stranger);
    await expect(pullTo(await newStore(), `${host}/private/app`, stranger)).rejects.toMatchObject({
      code: 'ERR_REGISTRY',
      hint: expect.stringContaining('runts login'),
    });
    const auth = { username: 'me', password: 'wrong' };
    await expect(pullTo(await newStore(), `${host}/private/app`, stranger, { auth })).rejects.toMatchObject({
      code: 'ERR_REGISTRY',
      message: expect.stringContaining('incorrect username or password'),
    });
  },
);

needsTokens('a token server that knows nothing but POST gets the password by POST', async () => {
  const identity = await makeIdentity();
  const tokens = await startTokenServer({ identity, postOnly: true });
  const { host } = await startRegistry({ auth: tokens.auth });
  const config = configFor(await temporaryDirectory());
  await login(host, { username: 'me', password: 'secret', config });
  expect(tokens.asked.map(({ method, grant }) => [method, grant])).toEqual([
    ['GET', undefined],
    ['POST', 'password'],
  ]);
});

needsTokens('a token that runs out in mid-pull is renewed', async () => {
  const identity = await makeIdentity();
  const tokens = await startTokenServer({ identity });
  const upstream = await startRegistry({ auth: tokens.auth });
  const auth = { username: 'me', password: 'secret' };
  const home = await temporaryDirectory();
  await login(upstream.host, { ...auth, config: configFor(home) });
  await publish(upstream.host, 'app', [1000, 1000, 1000], configFor(home));
  // Each token is good for two requests here.
  const uses = new Map<string, number>();
  const { host } = await between(upstream.host, (request, response, pass) => {
    const { authorization } = request.headers;
    if (authorization?.startsWith('Bearer') !== true) return pass();
    const used = (uses.get(authorization) ?? 0) + 1;
    uses.set(authorization, used);
    const challenge = `Bearer realm="${tokens.realm}",service="registry of a test",error="invalid_token"`;
    return used <= 2 ? pass() : answer(response, 401, '', { 'www-authenticate': challenge });
  });
  const store = await newStore();
  await pullTo(store, `${host}/app`, configFor(await temporaryDirectory()), { auth, concurrency: 1 });
  expect(uses.size).toBeGreaterThanOrEqual(3);
  expect(await store.verify()).toMatchObject({ blobs: 5, damaged: [], missing: [] });
});

needsTokens('a token server without TLS is asked by nobody but this machine', async () => {
  const challenge = 'Bearer realm="http://192.0.2.1/token",service="x"';
  const { host } = await between(undefined, (_request, response) =>
    answer(response, 401, '', { 'www-authenticate': challenge }),
  );
  const config = configFor(await temporaryDirectory());
  await expect(pullTo(await newStore(), `${host}/app`, config)).rejects.toMatchObject({
    code: 'ERR_REGISTRY',
    message: expect.stringContaining('that tokens come from "http://192.0.2.1/token"'),
  });
});
