import { RuntsError } from '../../errors.ts';
import { defaultDomain } from '../reference.ts';
import { certificatesFor } from './certificates.ts';
import type { RegistryConfig, RegistrySettings } from './config.ts';
import { Connections } from './connections.ts';
import type { Credentials } from './credentials.ts';
import { DockerConfig } from './docker-config.ts';
import { Endpoint } from './endpoint.ts';
import { isLoopback } from './proxies.ts';
import { Repository } from './repository.ts';
import { Tokens } from './tokens.ts';

export interface RegistryOptions {
  readonly config: RegistryConfig;
  /** Instead of what Docker's config.json has for the registry; never shown to its mirrors. */
  readonly auth?: Credentials | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Asks token servers for what lasts: for a login. */
  readonly offline?: boolean | undefined;
}

/** Where Docker Hub answers the registry API. */
const hubHost = 'registry-1.docker.io';

/** What may be done with a repository: tokens are asked for no more. */
export type Action = 'pull' | 'push';

/** Speaks with registries: for one piece of work, which closes it. Connections and tokens are shared within. */
export class RegistryClient {
  readonly #options: RegistryOptions;
  readonly #docker: DockerConfig;
  readonly #connections: Connections;
  readonly #endpoints = new Map<string, Endpoint>();

  constructor(options: RegistryOptions) {
    const { certificates, environment } = options.config;
    this.#options = options;
    this.#docker = new DockerConfig(environment);
    this.#connections = new Connections(
      (host) => ({
        certificates: certificatesFor(host, certificates, environment),
        unverified: this.#settings(host).insecure === true,
      }),
      environment,
    );
  }

  /** A repository to read from, by its registry's mirrors too, or to write to, at the registry itself. */
  repository(
    { domain, path }: { readonly domain: string; readonly path: string },
    action: Action = 'pull',
  ): Repository {
    const mirrors = action === 'pull' ? (this.#settings(domain).mirrors ?? []) : [];
    const { config, signal } = this.#options;
    return new Repository({
      domain,
      path,
      action,
      endpoints: [...mirrors.map((mirror) => this.#mirror(mirror)), this.endpoint(domain)],
      timing: config.timing,
      signal,
    });
  }

  /** The registry itself. */
  endpoint(domain: string): Endpoint {
    return this.#endpoint(`registry ${domain}`, () => {
      const host = domain === defaultDomain ? hubHost : domain;
      const { auth } = this.#options;
      return this.#make(host, undefined, async () => auth ?? this.#docker.credentials(domain));
    });
  }

  close(): void {
    this.#connections.close();
  }

  #mirror(address: string): Endpoint {
    return this.#endpoint(`mirror ${address}`, () => {
      const { host, protocol } = new URL(address);
      const scheme = protocol === 'http:' ? 'http' : 'https';
      return this.#make(host, scheme, () => this.#docker.credentials(host));
    });
  }

  #endpoint(key: string, make: () => Endpoint): Endpoint {
    const endpoint = this.#endpoints.get(key) ?? make();
    this.#endpoints.set(key, endpoint);
    return endpoint;
  }

  #make(
    host: string,
    scheme: 'http' | 'https' | undefined,
    findCredentials: () => Promise<Credentials | undefined>,
  ): Endpoint {
    if (!URL.canParse(`https://${host}`)) {
      throw new RuntsError('ERR_SPEC', `${host} is no address of a registry`, { hint: 'A port is 1 to 65535.' });
    }
    const connections = this.#connections;
    const { timing } = this.#options.config;
    const isInsecure = scheme === 'http' || this.#settings(host).insecure === true;
    const plain = (url: URL) => isInsecure || isLoopback(url.hostname);
    const plainAllowed = plain(new URL(`https://${host}`));
    let found: Promise<Credentials | undefined> | undefined;
    const credentials = () => {
      found ??= findCredentials();
      return found;
    };
    const { offline } = this.#options;
    const tokens = new Tokens({ connections, timing, host, credentials, plainAllowed: plain, offline });
    const hasCredentials = async () => (await credentials()) !== undefined;
    return new Endpoint({ host, scheme, plainAllowed, connections, tokens, timing, hasCredentials });
  }

  #settings(host: string): RegistrySettings {
    const name = host === hubHost ? defaultDomain : host;
    const { registries } = this.#options.config;
    return Object.hasOwn(registries, name) ? registries[name]! : {};
  }
}
