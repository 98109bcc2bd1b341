import http from 'node:http';
import https from 'node:https';
import { isIPv4 } from 'node:net';
import { connect as tlsConnect } from 'node:tls';

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The proxy that the environment names for an address, by the rules of curl and Docker: HTTP_PROXY, HTTPS_PROXY and
 * NO_PROXY, in small letters too. This machine itself is never asked for through a proxy.
 */
export function proxyFor(url: URL, environment: Environment): URL | undefined {
  const name = url.protocol === 'https:' ? 'HTTPS_PROXY' : 'HTTP_PROXY';
  const value = environment[name.toLowerCase()] || environment[name];
  if (!value || isLoopback(url.hostname) || isExcepted(url, environment['no_proxy'] || environment['NO_PROXY'] || '')) {
    return undefined;
  }
  try {
    const proxy = new URL(value.includes('://') ? value : `http://${value}`);
    return proxy.protocol === 'http:' ? proxy : undefined;
  } catch {
    return undefined;
  }
}

export function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || (isIPv4(hostname) && hostname.startsWith('127.'));
}

/** `*`, a host, a domain with all that is below it, each with a port if it is meant for that alone. */
function isExcepted(url: URL, list: string): boolean {
  const host = url.hostname.toLowerCase();
  const port = url.port || (url.protocol === 'https:' ? '443' : '80');
  return list.split(',').some((entry) => {
    const [, name = '', only] = /^\s*(.*?)(?::(\d+))?\s*$/.exec(entry.toLowerCase()) ?? [];
    if (name === '' || (only !== undefined && only !== port)) return false;
    const bare = name.replace(/^\*?\./, '');
    return name === '*' || host === bare || host.endsWith(`.${bare}`);
  });
}

/** TLS through a proxy (CONNECT): the proxy sees a name and a port, and no more. */
export function tunnelAgent(
  options: https.AgentOptions,
  proxy: URL,
  headers: Readonly<Record<string, string>>,
): https.Agent {
  return new TunnelAgent(options, proxy, headers);
}

type Connected = (error: Error | null, socket?: import('node:stream').Duplex) => void;

class TunnelAgent extends https.Agent {
  readonly #proxy: URL;
  readonly #headers: Readonly<Record<string, string>>;

  constructor(options: https.AgentOptions, proxy: URL, headers: Readonly<Record<string, string>>) {
    super(options);
    this.#proxy = proxy;
    this.#headers = headers;
  }

  override createConnection(options: https.RequestOptions, connected: Connected): undefined {
    const { hostname, port } = this.#proxy;
    const path = `${options.host}:${options.port}`;
    const headers = { host: path, ...this.#headers };
    const request = http.request({ hostname, port: port || 80, method: 'CONNECT', path, headers, agent: false });
    request.setTimeout(connectMs, () => request.destroy(new Error(`the proxy ${this.#proxy.host} does not answer`)));
    request.once('error', (error) => connected(error));
    request.once('connect', (response, socket) => {
      if (response.statusCode === 200) {
        const tls = { ...options, path: undefined, socket } as unknown as import('node:tls').ConnectionOptions;
        connected(null, tlsConnect(tls));
        return;
      }
      socket.destroy();
      connected(new Error(`the proxy ${this.#proxy.host} answered ${response.statusCode} to CONNECT`));
    });
    request.end();
    return undefined;
  }
}

const connectMs = 30_000;
