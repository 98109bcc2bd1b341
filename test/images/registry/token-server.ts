import { createPrivateKey, createSign, randomBytes, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import http, { type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';
import type { Identity } from './daemon.ts';

export interface TokenServerOptions {
  readonly identity: Identity;
  readonly username?: string;
  readonly password?: string;
  /** What each token lasts, as the server says and as the registry checks; default 300. */
  readonly seconds?: number;
  /** Gives and takes refresh tokens, and nothing but POST. */
  readonly postOnly?: boolean;
}

export interface TokenServer {
  readonly realm: string;
  /** Method and scopes of each request. */
  readonly asked: { method: string; scopes: readonly string[]; grant: string | undefined; user: string | undefined }[];
  /** What docker-registry's configuration wants. */
  readonly auth: unknown;
}

const service = 'registry of a test';
const issuer = 'tokens of a test';

/** A token server as Docker specifies one: it signs what somebody may do, and the registry believes it. */
export async function startTokenServer(options: TokenServerOptions): Promise<TokenServer> {
  const { identity, username = 'me', password = 'secret', seconds = 300, postOnly = false } = options;
  const asked: TokenServer['asked'] = [];
  const refreshTokens = new Set<string>();
  const server = http.createServer(async (request, response) => {
    const { query, user, secret, grant } = await read(request);
    const scopes = query
      .getAll('scope')
      .flatMap((scope) => scope.split(' '))
      .filter((scope) => scope !== '');
    asked.push({ method: request.method!, scopes, grant, user });
    if (postOnly && request.method !== 'POST') return response.writeHead(405).end();
    const refresh = query.get('refresh_token');
    const isKnown = refresh === null ? user === username && secret === password : refreshTokens.has(refresh);
    if (!isKnown && (user !== undefined || refresh !== null)) {
      const body = { errors: [{ code: 'UNAUTHORIZED', message: 'incorrect username or password' }] };
      return response.writeHead(401, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    }
    const isOffline = query.get('offline_token') === 'true' || query.get('access_type') === 'offline';
    const given = isKnown && isOffline ? randomBytes(16).toString('hex') : undefined;
    if (given !== undefined) refreshTokens.add(given);
    const token = sign(
      identity,
      scopes.map((scope) => accessOf(scope, isKnown)),
      seconds,
    );
    const document = { token, access_token: token, expires_in: seconds, ...(given && { refresh_token: given }) };
    return response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(document));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const realm = `http://127.0.0.1:${(server.address() as AddressInfo).port}/token`;
  return { realm, asked, auth: { token: { realm, service, issuer, rootcertbundle: identity.ca } } };
}

async function read(request: IncomingMessage) {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  const { searchParams } = new URL(request.url!, 'http://here');
  const query = request.method === 'POST' ? new URLSearchParams(Buffer.concat(parts).toString()) : searchParams;
  const basic = /^Basic (.*)$/.exec(request.headers.authorization ?? '')?.[1];
  const [user, secret] = basic === undefined ? [] : Buffer.from(basic, 'base64').toString().split(':');
  const grant = query.get('grant_type') ?? undefined;
  return { query, grant, user: user ?? query.get('username') ?? undefined, secret: secret ?? query.get('password') };
}

/** Strangers may read what is called public. */
function accessOf(scope: string, isKnown: boolean) {
  const [type, name = '', actions = ''] = scope.split(':');
  const isPublic = name.startsWith('public/');
  return { type, name, actions: isKnown ? actions.split(',') : isPublic ? ['pull'] : [] };
}

function sign({ certificate, key }: Identity, access: unknown, seconds: number): string {
  const der = new X509Certificate(readFileSync(certificate)).raw.toString('base64');
  const now = Math.floor(Date.now() / 1000);
  const claims = {
    iss: issuer,
    sub: 'somebody',
    aud: service,
    iat: now,
    nbf: now - 1,
    exp: now + seconds,
    jti: randomBytes(8).toString('hex'),
    access,
  };
  const head = { typ: 'JWT', alg: 'ES256', x5c: [der] };
  const text = [head, claims].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
  const signer = createSign('SHA256').update(text);
  const signature = signer.sign({ key: createPrivateKey(readFileSync(key)), dsaEncoding: 'ieee-p1363' });
  return `${text}.${signature.toString('base64url')}`;
}
