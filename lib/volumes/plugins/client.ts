import { readFile } from 'node:fs/promises';
import { type ClientRequest, type IncomingMessage, request as plainRequest } from 'node:http';
import { type RequestOptions, request as tlsRequest } from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import { RuntsError } from '../../errors.ts';
import type { PluginAddress, TlsFiles } from './discovery.ts';

/** What Docker and its plugins speak. */
export const pluginMediaType = 'application/vnd.docker.plugins.v1.2+json';

export interface ClientOptions {
  /** How long connecting is tried again; Docker's 30 seconds unless given. */
  readonly patienceMs?: number | undefined;
}

export interface Call {
  /** `VolumeDriver.Create`. */
  readonly method: string;
  readonly body?: object | undefined;
  /** For each attempt. */
  readonly timeoutMs: number;
  /** Whether a plugin that is not there is waited for. */
  readonly retries: boolean;
}

/** No answer of a plugin is longer: the list of all volumes is the longest. */
const answerBytesMax = 8 * 1024 * 1024;
const patienceMsDefault = 30_000;

/** Calls of one plugin, by the protocol of Docker's plugins: POST, JSON there and back. */
export class PluginClient {
  readonly #name: string;
  readonly #address: PluginAddress;
  readonly #patienceMs: number;
  #tls: Promise<RequestOptions> | undefined;

  constructor(name: string, address: PluginAddress, { patienceMs = patienceMsDefault }: ClientOptions = {}) {
    this.#name = name;
    this.#address = address;
    this.#patienceMs = patienceMs;
  }

  /** The object that it answered. ERR_DRIVER with what is wrong: with it, or by its own word. */
  async call(call: Call): Promise<Readonly<Record<string, unknown>>> {
    const started = performance.now();
    for (let attempt = 0; ; attempt++) {
      try {
        return await this.#once(call);
      } catch (error) {
        // 1, 2, 4 … seconds, as long as all of it stays within the patience.
        const pauseMs = Math.min(1000 * 2 ** attempt, this.#patienceMs);
        const isUnreached = error instanceof Unreached;
        if (!isUnreached || !call.retries || performance.now() - started + pauseMs > this.#patienceMs) {
          throw isUnreached ? this.#failure(call, error.message, error) : error;
        }
        await sleep(pauseMs);
      }
    }
  }

  async #once(call: Call): Promise<Readonly<Record<string, unknown>>> {
    const signal = AbortSignal.timeout(call.timeoutMs);
    const { status, text } = await this.#exchange(call, signal);
    const answer = parseObject(text);
    const told = answer?.['Err'];
    if (status !== 200) {
      const why =
        typeof told === 'string' && told !== '' ? told : text.trim() === '' ? 'without a reason' : text.trim();
      throw this.#failure(call, `${why.slice(0, 1000)} (status ${status})`, { status });
    }
    if (answer === undefined) throw this.#failure(call, `it answered what is not a JSON object: ${shortened(text)}`);
    if (typeof told === 'string' && told !== '') throw this.#failure(call, told.slice(0, 1000));
    return answer;
  }

  async #exchange(call: Call, signal: AbortSignal): Promise<{ readonly status: number; readonly text: string }> {
    const body = Buffer.from(call.body === undefined ? '' : JSON.stringify(call.body));
    const headers = { Accept: pluginMediaType, 'Content-Type': pluginMediaType, 'Content-Length': body.length };
    const secure = this.#address.kind === 'tcp' && this.#address.tls !== undefined;
    const tls = secure ? await this.#tlsOptions() : {};
    const options: RequestOptions = {
      ...tls,
      ...this.#target(),
      ...{ method: 'POST', path: `/${call.method}`, headers, signal, agent: false },
    };
    return new Promise((resolve, reject) => {
      let isConnected = false;
      const fail = (error: Error): void => {
        if (signal.aborted) reject(this.#timedOut(call, error));
        // What was not sent can be sent again.
        else if (!isConnected) reject(new Unreached(error));
        else reject(this.#failure(call, `the connection broke: ${error.message}`, error));
      };
      const sent: ClientRequest = (secure ? tlsRequest : plainRequest)(options, (answer) => {
        collect(answer, answerBytesMax).then(
          (text) => resolve({ status: answer.statusCode ?? 0, text }),
          (error: Error) => {
            sent.destroy();
            if (error instanceof TooLong) reject(this.#failure(call, error.message));
            else fail(error);
          },
        );
      });
      sent.once('socket', (socket) => {
        socket.once(secure ? 'secureConnect' : 'connect', () => {
          isConnected = true;
        });
      });
      sent.once('error', fail);
      sent.end(body);
    });
  }

  #target(): RequestOptions {
    if (this.#address.kind === 'unix') return { socketPath: this.#address.path };
    const { host, port } = this.#address;
    return { host, port };
  }

  #tlsOptions(): Promise<RequestOptions> {
    this.#tls ??= tlsOf((this.#address as { readonly tls: TlsFiles }).tls).catch((error: NodeJS.ErrnoException) => {
      this.#tls = undefined;
      const { code = error.message, path = 'a file' } = error;
      throw new RuntsError('ERR_DRIVER', `cannot use the plugin ${this.#name}: ${path} of its TLSConfig: ${code}`);
    });
    return this.#tls;
  }

  #failure(call: Call, why: string, cause?: unknown): RuntsError {
    return new RuntsError('ERR_DRIVER', `the plugin ${this.#name} failed at ${call.method}: ${why}`, { cause });
  }

  #timedOut(call: Call, cause: unknown): RuntsError {
    const message = `the plugin ${this.#name} did not answer ${call.method} in ${call.timeoutMs} ms`;
    return new RuntsError('ERR_TIMEOUT', message, { cause, hint: 'Its own log tells what it is doing.' });
  }
}

/** Nothing of the request has reached it. */
class Unreached extends Error {
  constructor(cause: Error) {
    super(`it cannot be reached: ${cause.message}`, { cause });
  }
}

class TooLong extends Error {}

async function collect(answer: IncomingMessage, bytesMax: number): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > bytesMax) throw new TooLong(`its answer has more than ${bytesMax} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function parseObject(text: string): Readonly<Record<string, unknown>> | undefined {
  if (text.trim() === '') return {};
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}

const shortened = (text: string): string => JSON.stringify(text.length > 100 ? `${text.slice(0, 100)}…` : text);

async function tlsOf({ insecureSkipVerify, caFile, certFile, keyFile }: TlsFiles): Promise<RequestOptions> {
  const read = (path: string | undefined) => (path === undefined ? undefined : readFile(path));
  const [ca, cert, key] = await Promise.all([read(caFile), read(certFile), read(keyFile)]);
  return {
    rejectUnauthorized: !insecureSkipVerify,
    ...(ca !== undefined && { ca }),
    ...(cert !== undefined && { cert }),
    ...(key !== undefined && { key }),
  };
}
