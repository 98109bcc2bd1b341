import { RuntsError } from '../../errors.ts';
import { RegistryClient } from './client.ts';
import type { RegistryConfig } from './config.ts';
import type { Credentials } from './credentials.ts';
import { DockerConfig } from './docker-config.ts';
import { Refusal, Transient } from './failure.ts';
import { Backoff, retried } from './retry.ts';

export interface LoginOptions {
  readonly config: RegistryConfig;
  readonly username: string;
  readonly password: string;
  readonly signal?: AbortSignal | undefined;
}

export interface LoggedIn {
  /** Where the credentials are kept now: Docker's config.json, in which they can be read, or its helper. */
  readonly kept: 'file' | 'helper';
  readonly path: string;
}

/** Shows credentials to a registry and, if it takes them, keeps them where Docker does. */
export async function login(domain: string, options: LoginOptions): Promise<LoggedIn> {
  const { config, username, password, signal } = options;
  if (username === '' || password === '' || /[:\p{Cc}]/u.test(username)) {
    throw new RuntsError('ERR_SPEC', 'a login wants a user name without a colon, and a password');
  }
  const client = new RegistryClient({ config, auth: { username, password }, signal, offline: true });
  try {
    const endpoint = client.endpoint(domain);
    const asked = `cannot log in to ${domain}`;
    const ask = { method: 'GET', to: '', asked, scopes: [], expect: [200] } as const;
    const answer = await retried(() => endpoint.request(ask, signal), new Backoff(config.timing, signal));
    answer.body.destroy();
    // With a token that lasts, the password need not be kept.
    const { identityToken } = endpoint.tokens;
    const credentials: Credentials = identityToken === undefined ? { username, password } : { identityToken };
    const docker = new DockerConfig(config.environment);
    return { kept: await docker.store(domain, username, credentials), path: docker.path };
  } catch (error) {
    throw error instanceof Refusal || error instanceof Transient ? error.error : error;
  } finally {
    client.close();
  }
}

/** Forgets the credentials for a registry; false where there were none. */
export function logout(domain: string, config: RegistryConfig): Promise<boolean> {
  return new DockerConfig(config.environment).erase(domain);
}
