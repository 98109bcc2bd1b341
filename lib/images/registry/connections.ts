import http from 'node:http';
import https from 'node:https';
import { createSecureContext } from 'node:tls';
import type { HostCertificates } from './certificates.ts';
import { proxyFor, tunnelAgent } from './proxies.ts';

/** What there is to know of a host before it is spoken to. */
export interface HostTrust {
  readonly certificates: HostCertificates;
  /** By configuration: its certificate is not verified. */
  readonly unverified: boolean;
}

export interface ConnectionOptions {
  readonly request: http.RequestOptions;
  readonly headers: Readonly<Record<string, string>>;
}

/** The connections of one client, kept open between requests, each host with the certificates that are its own. */
export class Connections {
  readonly #trust: (host: string) => HostTrust;
  readonly #environment: Readonly<Record<string, string | undefined>>;
  readonly #agents = new Map<string, http.Agent>();

  constructor(trust: (host: string) => HostTrust, environment: Readonly<Record<string, string | undefined>>) {
    this.#trust = trust;
    this.#environment = environment;
  }

  optionsFor(url: URL): ConnectionOptions {
    const proxy = proxyFor(url, this.#environment);
    const agent = this.#agent(url, proxy);
    if (proxy === undefined || url.protocol === 'https:') return { request: { ...target(url), agent }, headers: {} };
    // A proxy is asked for the whole address where there is nothing to hide from it.
    const request = { ...target(proxy), path: url.href, agent };
    return { request, headers: { host: url.host, ...proxyAuthorization(proxy) } };
  }

  close(): void {
    for (const agent of this.#agents.values()) agent.destroy();
    this.#agents.clear();
  }

  #agent(url: URL, proxy: URL | undefined): http.Agent {
    const key = `${url.protocol}//${url.host} ${proxy?.href ?? ''}`;
    let agent = this.#agents.get(key);
    if (agent === undefined) {
      agent = url.protocol === 'https:' ? this.#tlsAgent(url, proxy) : new http.Agent(keepAlive);
      this.#agents.set(key, agent);
    }
    return agent;
  }

  #tlsAgent(url: URL, proxy: URL | undefined): https.Agent {
    const { certificates, unverified } = this.#trust(url.host);
    const options = {
      ...keepAlive,
      // Made once: to read a machine's authorities takes longer than a request.
      secureContext: createSecureContext(certificates),
      rejectUnauthorized: !unverified,
    };
    return proxy === undefined ? new https.Agent(options) : tunnelAgent(options, proxy, proxyAuthorization(proxy));
  }
}

const keepAlive = { keepAlive: true, maxFreeSockets: 4 };

function target(url: URL): http.RequestOptions {
  const hostname = url.hostname.replace(/^\[|\]$/g, '');
  const port = url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : Number(url.port);
  return { hostname, port, path: `${url.pathname}${url.search}` };
}

function proxyAuthorization(proxy: URL): Readonly<Record<string, string>> {
  if (proxy.username === '') return {};
  const pair = `${decodeURIComponent(proxy.username)}:${decodeURIComponent(proxy.password)}`;
  return { 'proxy-authorization': `Basic ${Buffer.from(pair).toString('base64')}` };
}
