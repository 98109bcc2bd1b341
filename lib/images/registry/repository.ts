import { Readable } from 'node:stream';
import { RuntsError } from '../../errors.ts';
import { Refused } from '../../layers/refused.ts';
import { algorithmOf, checkDigest, digestOf } from '../digest.ts';
import { object, parseJson } from '../json.ts';
import { documentBytesMax } from '../limits.ts';
import { type Descriptor, documentTypeNames } from '../manifest.ts';
import type { BlobId } from '../store/ingest.ts';
import { blobBytes } from './blob-bytes.ts';
import type { Action } from './client.ts';
import type { Endpoint } from './endpoint.ts';
import { type Answer, letGo, readAnswer } from './exchange.ts';
import { isHtml, Refusal, wrongAnswer } from './failure.ts';
import { Backoff, type OnRetry, retried } from './retry.ts';
import type { Timing } from './timing.ts';
import { type OpenBlob, type UploadOptions, Uploads } from './upload.ts';

interface RepositoryOptions {
  readonly domain: string;
  readonly path: string;
  readonly action: Action;
  /** Mirrors in their order, and last the registry itself. */
  readonly endpoints: readonly Endpoint[];
  readonly timing: Timing;
  readonly signal: AbortSignal | undefined;
}

/** A manifest or an index as a registry has it. */
export interface Fetched {
  readonly descriptor: Descriptor;
  readonly bytes: Buffer;
}

/** A mirror is a convenience: it is not waited for as the registry itself is. */
const mirrorAttempts = 2;
const schema1 = /vnd\.docker\.distribution\.manifest\.v1\+/;

/** One repository of one registry. What it throws are RuntsErrors, with what the registry said. */
export class Repository {
  readonly #options: RepositoryOptions;
  /** Mirrors that failed while something was read from them. */
  readonly #avoided = new Set<Endpoint>();
  readonly #servedBy = new Map<string, Endpoint>();

  constructor(options: RepositoryOptions) {
    this.#options = options;
  }

  get domain(): string {
    return this.#options.domain;
  }

  get path(): string {
    return this.#options.path;
  }

  /** The name in messages: without the default registry, as people write it. */
  get name(): string {
    return `${this.domain}/${this.path}`;
  }

  /** The manifest or index of a tag or digest, its digest checked. ERR_NOT_FOUND where there is none. */
  async manifest(tagOrDigest: string, onRetry?: OnRetry): Promise<Fetched> {
    const asked = `cannot read the manifest of ${this.name}${tagOrDigest.includes(':') ? '@' : ':'}${tagOrDigest}`;
    return this.#fromAny(asked, onRetry, async (endpoint) => {
      const { signal, timing } = this.#options;
      const headers = { accept: documentTypeNames.join(', ') };
      const to = `${this.path}/manifests/${tagOrDigest}`;
      const ask = { method: 'GET', to, asked, headers, scopes: this.#scopes(), expect: [200] } as const;
      const answer = await endpoint.request(ask, signal);
      const bytes = await readAnswer(answer, asked, { bytesMax: documentBytesMax, timing }).catch((error) => {
        throw endpoint.failed(asked, answer.url, error, signal);
      });
      return fetched(bytes, answer, asked, tagOrDigest);
    });
  }

  /** The bytes of a blob as they are sent, from an offset on; the caller checks them. Breaks off with Transient. */
  async blob(blob: BlobId, offset = 0): Promise<Readable> {
    const asked = `cannot read the blob ${blob.digest} of ${this.name}`;
    checkDigest(blob.digest, 'the digest of a blob');
    let failure: unknown;
    for (const endpoint of this.#endpoints()) {
      try {
        const stream = await this.#blobFrom(endpoint, blob, offset, asked);
        this.#servedBy.set(blob.digest, endpoint);
        return stream;
      } catch (error) {
        failure = error;
        if (this.#options.signal?.aborted) break;
        this.#avoided.add(endpoint);
      }
    }
    throw failure;
  }

  /** The blob came with wrong bytes: whether somebody else can be asked for it. */
  reject(blob: BlobId): boolean {
    const endpoint = this.#servedBy.get(blob.digest);
    if (endpoint === undefined || endpoint === this.#origin) return false;
    this.#avoided.add(endpoint);
    return true;
  }

  /** The host that sent a blob, for messages. */
  sourceOf(blob: BlobId): string {
    return (this.#servedBy.get(blob.digest) ?? this.#origin).host;
  }

  async hasBlob({ digest }: Pick<BlobId, 'digest'>, onRetry?: OnRetry): Promise<boolean> {
    const asked = `cannot look for the blob ${digest} in ${this.name}`;
    const to = `${this.path}/blobs/${digest}`;
    const ask = { method: 'HEAD', to, asked, scopes: this.#scopes(), expect: [200, 404] } as const;
    const answer = await this.#fromOrigin(onRetry, (endpoint) => endpoint.request(ask, this.#options.signal));
    await letGo(answer, this.#options.timing);
    return answer.status === 200;
  }

  /** Puts a blob there: by taking it over from another repository of the registry where that has it, else by sending it. */
  async upload(blob: BlobId, open: OpenBlob, options: UploadOptions = {}): Promise<'mounted' | 'uploaded'> {
    const { signal, timing, path } = this.#options;
    const uploads = new Uploads({
      endpoint: this.#origin,
      path,
      name: this.name,
      timing,
      signal,
      scopes: this.#scopes(),
    });
    return uploads.upload(blob, open, options).catch((error) => {
      throw this.#explained(error);
    });
  }

  /** Puts a manifest or index there, under a tag or under its digest, which is returned. */
  async putManifest(tagOrDigest: string, mediaType: string, bytes: Buffer, onRetry?: OnRetry): Promise<string> {
    const asked = `cannot write the manifest of ${this.name}${tagOrDigest.includes(':') ? '@' : ':'}${tagOrDigest}`;
    const ask = {
      method: 'PUT',
      to: `${this.path}/manifests/${tagOrDigest}`,
      asked,
      headers: { 'content-type': mediaType },
      body: () => bytes,
      scopes: this.#scopes(),
      expect: [200, 201, 202],
      waitMs: this.#options.timing.commitMs,
    } as const;
    const answer = await this.#fromOrigin(onRetry, (endpoint) => endpoint.request(ask, this.#options.signal));
    await letGo(answer, this.#options.timing);
    const digest = digestOf(bytes);
    const theirs = answer.headers['docker-content-digest'];
    if (theirs === undefined || theirs === digest) return digest;
    throw wrongAnswer(asked, this.#origin.host, `that it is ${JSON.stringify(theirs)}, and not ${digest}`);
  }

  // ---- inside --------------------------------------------------------------------------------------------------------

  get #origin(): Endpoint {
    return this.#options.endpoints.at(-1)!;
  }

  #endpoints(): readonly Endpoint[] {
    return this.#options.endpoints.filter((each) => each === this.#origin || !this.#avoided.has(each));
  }

  #scopes(): readonly string[] {
    return [`repository:${this.path}:${this.#options.action === 'push' ? 'pull,push' : 'pull'}`];
  }

  async #blobFrom(endpoint: Endpoint, blob: BlobId, offset: number, asked: string): Promise<Readable> {
    const { signal, timing } = this.#options;
    const to = `${this.path}/blobs/${blob.digest}`;
    const ask = (from: number) =>
      endpoint.request(
        {
          method: 'GET',
          to,
          asked,
          headers: from > 0 ? { range: `bytes=${from}-` } : undefined,
          scopes: this.#scopes(),
          expect: from > 0 ? [200, 206, 416] : [200, 206],
        },
        signal,
      );
    let answer = await ask(offset);
    if (answer.status === 416) {
      answer.body.destroy();
      answer = await ask(0);
    }
    const bytes = blobBytes(answer, blob, offset, {
      asked,
      timing,
      failed: (e) => endpoint.failed(asked, answer.url, e, signal),
    });
    return Readable.from(this.#watched(bytes, endpoint), { objectMode: false, highWaterMark: 256 * 1024 });
  }

  /** A mirror that breaks off is not asked again. */
  async *#watched(bytes: AsyncGenerator<Buffer>, endpoint: Endpoint): AsyncGenerator<Buffer> {
    try {
      yield* bytes;
    } catch (error) {
      this.#avoided.add(endpoint);
      throw error;
    }
  }

  async #fromAny<T>(asked: string, onRetry: OnRetry | undefined, work: (endpoint: Endpoint) => Promise<T>): Promise<T> {
    const { timing, signal } = this.#options;
    for (const endpoint of this.#endpoints()) {
      if (endpoint === this.#origin) break;
      try {
        const few = new Backoff({ ...timing, attempts: mirrorAttempts }, signal);
        return await retried(() => work(endpoint), few);
      } catch (error) {
        if (signal?.aborted) throw this.#explained(error);
        await onRetry?.(`${(error as Error).message}; asking another`, 0);
      }
    }
    return this.#fromOrigin(onRetry, async (endpoint) => {
      try {
        return await work(endpoint);
      } catch (error) {
        throw error instanceof Refused
          ? wrongAnswer(asked, endpoint.host, `what is refused: ${error.message}`, error.hint)
          : error;
      }
    });
  }

  async #fromOrigin<T>(onRetry: OnRetry | undefined, work: (endpoint: Endpoint) => Promise<T>): Promise<T> {
    const { timing, signal } = this.#options;
    try {
      return await retried(() => work(this.#origin), new Backoff(timing, signal, onRetry));
    } catch (error) {
      throw this.#explained(error);
    }
  }

  /** A name that leads to nothing is another error than a registry that refuses. */
  #explained(error: unknown): unknown {
    if (!(error instanceof Refusal)) return error;
    const { message, hint, cause } = error.error;
    return error.status === 404 ? new RuntsError('ERR_NOT_FOUND', message, { hint, cause }) : error.error;
  }
}

/** What came for a manifest, if it is one, and the one that was asked for. */
function fetched(bytes: Buffer, answer: Answer, asked: string, tagOrDigest: string): Fetched {
  const { host } = answer.url;
  if (isHtml(answer)) throw wrongAnswer(asked, host, 'a page for people instead of a manifest');
  const wanted = tagOrDigest.includes(':') ? tagOrDigest : undefined;
  const digest = digestOf(bytes, wanted === undefined ? 'sha256' : algorithmOf(wanted));
  const theirs = answer.headers['docker-content-digest'];
  const claimed = wanted ?? (typeof theirs === 'string' && theirs.startsWith('sha256:') ? theirs : digest);
  if (digest !== claimed) throw wrongAnswer(asked, host, `a manifest with the wrong digest: ${digest}, not ${claimed}`);
  const mediaType = mediaTypeOf(bytes, answer);
  if (schema1.test(mediaType)) throw outdated(asked);
  const descriptor = { mediaType, digest, size: bytes.length, platform: undefined, annotations: {} };
  return { descriptor, bytes };
}

/** What the answer's header says, or where that is vague the document. */
function mediaTypeOf(bytes: Buffer, answer: Answer): string {
  const said = (answer.headers['content-type'] ?? '').replace(/;.*$/, '').trim().toLowerCase();
  if (documentTypeNames.includes(said) || schema1.test(said)) return said;
  const what = 'the manifest';
  const document = object(parseJson(bytes, what), what);
  if (document['schemaVersion'] === 1) return 'application/vnd.docker.distribution.manifest.v1+json';
  const own = document['mediaType'];
  if (typeof own === 'string' && vague.test(said)) return own;
  throw new Refused(`a manifest of the type ${JSON.stringify(said)}`);
}

const vague = /^$|^application\/(?:json|octet-stream)$|^text\/plain$/;

function outdated(asked: string): RuntsError {
  return new RuntsError('ERR_UNSUPPORTED', `${asked}: it is of the first schema, which ended in 2017`, {
    hint: 'Push the image again with a tool of today; `skopeo copy --format v2s2` can convert it.',
  });
}
