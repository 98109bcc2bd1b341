import { RuntsError } from '../../errors.ts';
import { parseChallenges } from './challenge.ts';
import type { Connections } from './connections.ts';
import type { Credentials } from './credentials.ts';
import { type Exchange, exchange, readAnswer, readSome } from './exchange.ts';
import { broken, refusal, wrongAnswer } from './failure.ts';
import type { Timing } from './timing.ts';

/** Where a registry sends its clients for tokens. */
interface TokenServer {
  readonly realm: URL;
  readonly service: string | undefined;
}

interface Token {
  readonly header: string;
  /** In milliseconds of this process's clock. */
  readonly renewAt: number;
  /** What may be shown instead of the password from now on. */
  readonly identityToken?: string | undefined;
}

interface TokensOptions {
  readonly connections: Connections;
  readonly timing: Timing;
  /** The registry, for messages. */
  readonly host: string;
  readonly credentials: () => Promise<Credentials | undefined>;
  /** Whether a token server may be asked without TLS. */
  readonly plainAllowed: (realm: URL) => boolean;
  /** Asks for a token that lasts, as a login does. */
  readonly offline?: boolean | undefined;
}

const tokenBytesMax = 256 * 1024;
/** A token that names no time lasts for a minute, and no server means less. */
const lifetimeSecondsMin = 60;
const lifetimeSecondsMax = 24 * 3600;
const clientId = 'runts';

/** The Authorization header for one registry: by password, or by tokens, which it asks for and renews. */
export class Tokens {
  readonly #options: TokensOptions;
  /** How the registry wants it; learnt from its first 401. */
  #server: TokenServer | 'basic' | undefined;
  /** By scopes; one request for all who want the same. */
  readonly #tokens = new Map<string, Promise<Token>>();
  /** A token server may give a new identity token with a token. */
  #identityToken: string | undefined;

  constructor(options: TokensOptions) {
    this.#options = options;
  }

  get identityToken(): string | undefined {
    return this.#identityToken;
  }

  /** The header to ask with; undefined where nothing is known to be wanted yet, or nobody has credentials. */
  async header(scopes: readonly string[], signal: AbortSignal | undefined): Promise<string | undefined> {
    const credentials = await this.#options.credentials();
    if (credentials !== undefined && 'registryToken' in credentials) return `Bearer ${credentials.registryToken}`;
    if (this.#server === undefined) return undefined;
    if (this.#server === 'basic') return basic(credentials);
    return (await this.#token(this.#server, credentials, scopes, signal)).header;
  }

  /** Learns from a 401; whether it is worth asking again. `used` is the header that was refused. */
  async learn(challenge: string, used: string | undefined, scopes: readonly string[]): Promise<boolean> {
    const credentials = await this.#options.credentials();
    if (credentials !== undefined && 'registryToken' in credentials) return false;
    const challenges = parseChallenges(challenge);
    const bearer = challenges.find(({ scheme }) => scheme === 'bearer');
    if (bearer !== undefined) {
      this.#server = this.#readServer(bearer.parameters);
      await this.#forget(scopes, used);
      return true;
    }
    if (!challenges.some(({ scheme }) => scheme === 'basic')) return false;
    this.#server = 'basic';
    return basic(credentials) !== undefined && used === undefined;
  }

  #readServer(parameters: ReadonlyMap<string, string>): TokenServer {
    const text = parameters.get('realm') ?? '';
    const realm = URL.canParse(text) ? new URL(text) : undefined;
    const { host, plainAllowed } = this.#options;
    const isFit = realm?.protocol === 'https:' || (realm?.protocol === 'http:' && plainAllowed(realm));
    if (realm === undefined || !isFit || realm.username !== '') {
      const hint =
        'A token server is an https address; a plain one is taken from registries that are plain themselves.';
      throw wrongAnswer(
        'cannot authenticate',
        host,
        `that tokens come from ${JSON.stringify(text.slice(0, 200))}`,
        hint,
      );
    }
    return { realm, service: parameters.get('service') };
  }

  /** A token that was refused is not used again; one that somebody else has renewed meanwhile is. */
  async #forget(scopes: readonly string[], used: string | undefined): Promise<void> {
    const known = await this.#tokens.get(scopes.join(' '))?.catch(() => undefined);
    if (known === undefined || known.header === used) this.#tokens.delete(scopes.join(' '));
  }

  async #token(
    server: TokenServer,
    credentials: Credentials | undefined,
    scopes: readonly string[],
    signal: AbortSignal | undefined,
  ): Promise<Token> {
    const key = scopes.join(' ');
    const known = await this.#tokens.get(key);
    if (known !== undefined && known.renewAt > Date.now()) return known;
    let asking = this.#tokens.get(key);
    // Whoever comes first after it has run out asks, for all the others.
    if (known !== undefined && (await asking) === known) asking = undefined;
    if (asking === undefined) {
      asking = this.#ask(server, credentials, scopes, signal);
      this.#tokens.set(key, asking);
      asking.catch(() => this.#tokens.delete(key));
    }
    return asking;
  }

  async #ask(
    server: TokenServer,
    credentials: Credentials | undefined,
    scopes: readonly string[],
    signal: AbortSignal | undefined,
  ): Promise<Token> {
    const secret = this.#identityToken ?? (credentials && 'identityToken' in credentials && credentials.identityToken);
    if (secret) return this.#post(server, { grant_type: 'refresh_token', refresh_token: secret }, scopes, signal);
    const user = credentials !== undefined && 'username' in credentials ? credentials : undefined;
    const url = new URL(server.realm);
    if (server.service !== undefined) url.searchParams.set('service', server.service);
    for (const scope of scopes) url.searchParams.append('scope', scope);
    if (this.#options.offline) {
      url.searchParams.set('offline_token', 'true');
      url.searchParams.set('client_id', clientId);
    }
    if (user !== undefined) url.searchParams.set('account', user.username);
    const authorization = basic(credentials);
    const got = await this.#exchange(
      {
        method: 'GET',
        url,
        headers: { accept: 'application/json', ...(authorization && { authorization }) },
      },
      signal,
    );
    // Some servers know only the form of OAuth 2.
    if (got === undefined && user !== undefined) {
      return this.#post(server, { grant_type: 'password', ...user }, scopes, signal);
    }
    return got ?? this.#never(url);
  }

  async #post(
    server: TokenServer,
    fields: Readonly<Record<string, string>>,
    scopes: readonly string[],
    signal: AbortSignal | undefined,
  ): Promise<Token> {
    const form = new URLSearchParams({ ...fields, client_id: clientId });
    if (server.service !== undefined) form.set('service', server.service);
    if (scopes.length > 0) form.set('scope', scopes.join(' '));
    if (this.#options.offline) form.set('access_type', 'offline');
    const headers = { accept: 'application/json', 'content-type': 'application/x-www-form-urlencoded' };
    const body = Buffer.from(form.toString());
    return (
      (await this.#exchange({ method: 'POST', url: server.realm, headers, body }, signal)) ?? this.#never(server.realm)
    );
  }

  /** Asks the token server; undefined where it does not know this way of asking. No redirect is followed with a secret. */
  async #exchange(ask: Exchange, signal: AbortSignal | undefined): Promise<Token | undefined> {
    const { connections, timing, host } = this.#options;
    const asked = `cannot get a token for ${host}`;
    const answer = await exchange(connections, ask, timing, signal).catch((error) => {
      throw RuntsError.is(error) || signal?.aborted ? error : broken(asked, ask.url, error, true);
    });
    const isKnown = answer.status !== 404 && answer.status !== 405;
    if (!isKnown && ask.method === 'GET') {
      answer.body.destroy();
      return undefined;
    }
    if (answer.status !== 200) {
      const hasSecret = (await this.#options.credentials()) !== undefined;
      const error = refusal(asked, answer, await readSome(answer, tokenBytesMax, timing), hasSecret);
      throw error;
    }
    const bytes = await readAnswer(answer, asked, { bytesMax: tokenBytesMax, timing }).catch((error) => {
      throw RuntsError.is(error) || signal?.aborted ? error : broken(asked, ask.url, error, true);
    });
    return this.#read(bytes, ask.url);
  }

  #read(bytes: Buffer, url: URL): Token {
    let document: Record<string, unknown>;
    try {
      document = Object(JSON.parse(bytes.toString()));
    } catch {
      document = {};
    }
    const { token, access_token: access, expires_in: expires, refresh_token: refresh } = document;
    const value = [token, access].find((each) => typeof each === 'string' && /^[\x21-\x7e]+$/.test(each));
    if (value === undefined) throw wrongAnswer('cannot authenticate', url.host, 'without a token');
    const seconds = typeof expires === 'number' && expires > 0 ? expires : lifetimeSecondsMin;
    const lifetime = Math.min(Math.max(seconds, lifetimeSecondsMin), lifetimeSecondsMax);
    if (typeof refresh === 'string' && refresh !== '') this.#identityToken = refresh;
    // A tenth before its end: it must last through the request, and clocks differ.
    return { header: `Bearer ${value}`, renewAt: Date.now() + lifetime * 900 };
  }

  #never(url: URL): never {
    throw wrongAnswer('cannot authenticate', url.host, 'that it gives no tokens');
  }
}

function basic(credentials: Credentials | undefined): string | undefined {
  if (credentials === undefined || !('username' in credentials)) return undefined;
  return `Basic ${Buffer.from(`${credentials.username}:${credentials.password}`).toString('base64')}`;
}
