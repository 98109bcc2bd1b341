import { RuntsError } from '../../errors.ts';
import { canceled } from '../../host/cancel.ts';
import type { Connections } from './connections.ts';
import { type Answer, type Body, exchange, letGo, readSome } from './exchange.ts';
import { broken, isNotTls, refusal, Transient, wrongAnswer } from './failure.ts';
import type { Timing } from './timing.ts';
import type { Tokens } from './tokens.ts';

/** One request of the registry API. */
export interface Ask {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Below `/v2/`, or where the registry said that it goes on. */
  readonly to: string | URL;
  /** For messages: `cannot read the manifest of debian:12`. */
  readonly asked: string;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Made anew for each try. */
  readonly body?: (() => Body | Promise<Body>) | undefined;
  /** `repository:library/debian:pull`. */
  readonly scopes: readonly string[];
  /** The answers that are wanted; others are thrown. */
  readonly expect: readonly number[];
  /** Where an answer may take longer than others. */
  readonly waitMs?: number | undefined;
}

interface EndpointOptions {
  /** `localhost:5000`. */
  readonly host: string;
  /** By configuration, or because it is this machine: it may speak plain HTTP. */
  readonly plainAllowed: boolean;
  /** `http` where it is configured so: nothing else is tried. */
  readonly scheme: 'https' | 'http' | undefined;
  readonly connections: Connections;
  readonly tokens: Tokens;
  readonly timing: Timing;
  readonly hasCredentials: () => Promise<boolean>;
}

const redirectsMax = 5;
const redirects: readonly number[] = [301, 302, 303, 307, 308];
const errorBytesMax = 64 * 1024;

/** One host that speaks the registry API: a registry or a mirror of it. */
export class Endpoint {
  readonly host: string;
  readonly tokens: Tokens;
  readonly #options: EndpointOptions;
  #base: Promise<URL> | undefined;
  readonly #answered = new Set<string>();

  constructor(options: EndpointOptions) {
    this.host = options.host;
    this.tokens = options.tokens;
    this.#options = options;
  }

  /**
   * Asks, with credentials where they are wanted, and follows redirects. Throws Transient, Refusal or RuntsError.
   *
   * Credentials go to this host alone: not along with a redirect elsewhere, and what another host answers to it is no
   * reason to show them to anybody (CVE-2020-15157).
   */
  async request(ask: Ask, signal?: AbortSignal): Promise<Answer> {
    const base = await this.#findBase(ask.asked, signal);
    const url = typeof ask.to === 'string' ? new URL(`/v2/${ask.to}`, base) : ask.to;
    this.#checkScheme(url, base, ask);
    for (let renewed = false; ; renewed = true) {
      const authorization = isSameOrigin(url, base) ? await this.#authorization(ask, signal) : undefined;
      const answer = await this.#follow(ask, url, base, authorization, signal);
      if (ask.expect.includes(answer.status)) return answer;
      const said = await readSome(answer, errorBytesMax, this.#options.timing);
      const challenge = answer.headers['www-authenticate'];
      if (answer.status === 401 && !renewed && challenge !== undefined && isSameOrigin(answer.url, base)) {
        if (await this.tokens.learn(challenge, authorization, ask.scopes)) continue;
      }
      throw refusal(ask.asked, answer, said, await this.#options.hasCredentials());
    }
  }

  /** Where an answer says that it goes on (`Location`). */
  location(answer: Answer, asked: string): URL {
    const to = answer.headers.location ?? '';
    if (to !== '' && URL.canParse(to, answer.url.href)) return new URL(to, answer.url);
    throw wrongAnswer(asked, answer.url.host, 'without a Location to go on to');
  }

  #authorization(ask: Ask, signal: AbortSignal | undefined): Promise<string | undefined> {
    return this.tokens.header(ask.scopes, signal);
  }

  async #follow(
    ask: Ask,
    first: URL,
    base: URL,
    authorization: string | undefined,
    signal: AbortSignal | undefined,
  ): Promise<Answer> {
    let url = first;
    for (let count = 0; ; count++) {
      const answer = await this.#once(ask, url, isSameOrigin(url, base) ? authorization : undefined, signal);
      const isFollowed = ask.method === 'GET' || ask.method === 'HEAD';
      if (!isFollowed || !redirects.includes(answer.status) || ask.expect.includes(answer.status)) return answer;
      await letGo(answer, this.#options.timing);
      if (count === redirectsMax) {
        throw wrongAnswer(ask.asked, this.host, `with more than ${redirectsMax} redirects`);
      }
      url = this.location(answer, ask.asked);
      this.#checkScheme(url, base, ask);
    }
  }

  async #once(ask: Ask, url: URL, authorization: string | undefined, signal: AbortSignal | undefined): Promise<Answer> {
    const { connections, timing } = this.#options;
    if (signal?.aborted) throw canceled(signal, 'talking to a registry');
    const headers = { ...ask.headers, ...(authorization && { authorization }) };
    const body = await ask.body?.();
    try {
      const { method, waitMs = timing.stallMs } = ask;
      const patience = { ...timing, stallMs: waitMs };
      const answer = await exchange(connections, { method, url, headers, body }, patience, signal);
      this.#answered.add(url.host);
      return answer;
    } catch (error) {
      throw this.failed(ask.asked, url, error, signal);
    }
  }

  /** What a failed connection, or a body that broke off, becomes. */
  failed(asked: string, url: URL, error: unknown, signal: AbortSignal | undefined): unknown {
    if (signal?.aborted) return canceled(signal, 'talking to a registry');
    if (RuntsError.is(error) || error instanceof Transient) return error;
    return broken(asked, url, error, this.#answered.has(url.host));
  }

  /** From TLS nothing leads to plain HTTP, where anybody could read or answer. */
  #checkScheme(url: URL, base: URL, ask: Ask): void {
    if (url.protocol === 'https:' || (url.protocol === 'http:' && base.protocol === 'http:')) return;
    throw wrongAnswer(
      ask.asked,
      this.host,
      `with a redirect to ${url.protocol}//${url.host}`,
      'From https only https is followed. Behind a proxy, a registry must be told its own address.',
    );
  }

  #findBase(asked: string, signal: AbortSignal | undefined): Promise<URL> {
    if (this.#base === undefined) {
      const finding = this.#probe(asked, signal);
      this.#base = finding;
      finding.catch(() => {
        this.#base = undefined;
      });
    }
    return this.#base;
  }

  /** TLS, or where it is allowed and nobody speaks TLS there, plain HTTP. */
  async #probe(asked: string, signal: AbortSignal | undefined): Promise<URL> {
    const { scheme, plainAllowed, connections, timing } = this.#options;
    const base = new URL(`${scheme ?? 'https'}://${this.host}`);
    if (scheme !== undefined || !plainAllowed) return base;
    const probe = (url: URL) => exchange(connections, { method: 'GET', url: new URL('/v2/', url) }, timing, signal);
    try {
      (await probe(base)).body.destroy();
      return base;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      const plain = new URL(`http://${this.host}`);
      const mayBePlain = isNotTls(code) || code === 'ECONNRESET' || code === 'ECONNREFUSED';
      if (!mayBePlain || signal?.aborted) throw this.failed(asked, base, error, signal);
      const answer = await probe(plain).catch((second) => {
        throw this.failed(asked, isNotTls(code) ? plain : base, isNotTls(code) ? second : error, signal);
      });
      answer.body.destroy();
      return plain;
    }
  }
}

function isSameOrigin(a: URL, b: URL): boolean {
  return a.origin === b.origin;
}
