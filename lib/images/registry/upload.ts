import { Readable } from 'node:stream';
import type { BlobId } from '../store/ingest.ts';
import type { Endpoint } from './endpoint.ts';
import { type Answer, type Body, letGo } from './exchange.ts';
import { Refusal } from './failure.ts';
import { Backoff, type OnRetry } from './retry.ts';
import type { Timing } from './timing.ts';

/** Opens what is uploaded, from an offset on. */
export type OpenBlob = (offset: number) => Readable | Promise<Readable>;

export interface UploadOptions {
  /** Another repository of the registry that has the blob. */
  readonly from?: string | undefined;
  /** Told the bytes that are sent. */
  readonly onSent?: ((done: number) => unknown) | undefined;
  readonly onRetry?: OnRetry | undefined;
}

interface UploadsOptions {
  readonly endpoint: Endpoint;
  readonly path: string;
  /** Of the repository, for messages. */
  readonly name: string;
  readonly timing: Timing;
  readonly signal: AbortSignal | undefined;
  readonly scopes: readonly string[];
}

/** An upload that has begun: where it goes on, and how much is there. */
interface Place {
  readonly location: URL;
  readonly offset: number;
}

/** Of this size, a blob is sent with the request that ends the upload. */
const wholeBytesMax = 1024 * 1024;
/** A registry that forgets what it was sent is not sent it for ever. */
const restartsMax = 3;

/** Sends blobs to a repository. */
export class Uploads {
  readonly #options: UploadsOptions;

  constructor(options: UploadsOptions) {
    this.#options = options;
  }

  /** Sends a blob; after a broken connection what the registry has not got yet. */
  async upload(
    blob: BlobId,
    open: OpenBlob,
    { from, onSent, onRetry }: UploadOptions,
  ): Promise<'mounted' | 'uploaded'> {
    const { timing, signal } = this.#options;
    const backoff = new Backoff(timing, signal, onRetry);
    let place: Place | undefined;
    for (let restarts = 0; ; ) {
      try {
        place ??= await this.#begin(blob, restarts === 0 ? from : undefined);
        if (place === undefined) return 'mounted';
        while (blob.size > wholeBytesMax && place.offset < blob.size) {
          place = await this.#send(blob, place, open, onSent);
          backoff.reset();
        }
        await this.#finish(blob, place, open, onSent);
        return 'uploaded';
      } catch (error) {
        // The registry does not know this upload any more.
        const isLost = error instanceof Refusal && (error.status === 404 || error.status === 416);
        if (isLost && place !== undefined && restarts < restartsMax) {
          restarts++;
          place = undefined;
          continue;
        }
        if (error instanceof Refusal) throw error;
        await backoff.wait(error);
        const before: number = place?.offset ?? 0;
        place = place && (await this.#find(blob, place));
        if ((place?.offset ?? 0) > before) backoff.reset();
      }
    }
  }

  /** Begins an upload; undefined where the registry took the blob over from the other repository. */
  async #begin(blob: BlobId, from: string | undefined): Promise<Place | undefined> {
    const { endpoint, path, scopes } = this.#options;
    const asked = this.#asked(blob);
    const mount = from === undefined ? '' : `?mount=${blob.digest}&from=${from}`;
    const answer = await this.#ask(
      'POST',
      `${path}/blobs/uploads/${mount}`,
      asked,
      { 'content-length': '0' },
      undefined,
      from === undefined ? [202] : [201, 202],
      from === undefined ? scopes : [...scopes, `repository:${from}:pull`],
    );
    if (answer.status === 201) return undefined;
    return { location: endpoint.location(answer, asked), offset: 0 };
  }

  async #send(blob: BlobId, place: Place, open: OpenBlob, onSent: UploadOptions['onSent']): Promise<Place> {
    const asked = this.#asked(blob);
    const end = Math.min(place.offset + this.#options.timing.uploadBytes, blob.size);
    const headers = { 'content-type': 'application/octet-stream', 'content-range': `${place.offset}-${end - 1}` };
    const body = () => bodyOf({ start: place.offset, end }, open, onSent);
    const answer = await this.#ask('PATCH', place.location, asked, headers, body, [202]);
    return { location: this.#options.endpoint.location(answer, asked), offset: end };
  }

  async #finish(blob: BlobId, place: Place, open: OpenBlob, onSent: UploadOptions['onSent']): Promise<void> {
    const url = new URL(place.location);
    // Not by searchParams, which would write what the registry put there in another way.
    url.search += `${url.search === '' ? '?' : '&'}digest=${encodeURIComponent(blob.digest)}`;
    const rest = blob.size - place.offset;
    const headers = rest === 0 ? { 'content-length': '0' } : { 'content-type': 'application/octet-stream' };
    const body = rest === 0 ? undefined : () => bodyOf({ start: place.offset, end: blob.size }, open, onSent);
    await this.#ask('PUT', url, this.#asked(blob), headers, body, [201]);
  }

  /** How much of an upload that broke off is there; undefined where it must begin anew. */
  async #find(blob: BlobId, place: Place): Promise<Place | undefined> {
    const { endpoint } = this.#options;
    try {
      const answer = await this.#ask('GET', place.location, this.#asked(blob), {}, undefined, [204]);
      const end = /^(?:bytes=)?0-(\d{1,15})$/.exec(String(answer.headers['range'] ?? ''))?.[1];
      const offset = Number(end ?? 0) + 1;
      // `0-0` is one byte to some, and none to others.
      if (offset < 2 || offset > blob.size) return undefined;
      return { location: endpoint.location(answer, this.#asked(blob)), offset };
    } catch {
      return undefined;
    }
  }

  async #ask(
    method: 'POST' | 'PUT' | 'PATCH' | 'GET',
    to: string | URL,
    asked: string,
    headers: Readonly<Record<string, string>>,
    body: (() => Promise<Body>) | undefined,
    expect: readonly number[],
    scopes = this.#options.scopes,
  ): Promise<Answer> {
    const { endpoint, signal, timing } = this.#options;
    const waitMs = method === 'PUT' || method === 'PATCH' ? timing.commitMs : undefined;
    const answer = await endpoint.request({ method, to, asked, headers, body, scopes, expect, waitMs }, signal);
    await letGo(answer, timing);
    return answer;
  }

  #asked(blob: BlobId): string {
    return `cannot send the blob ${blob.digest} to ${this.#options.name}`;
  }
}

interface Part {
  readonly start: number;
  readonly end: number;
}

async function bodyOf(part: Part, open: OpenBlob, onSent: UploadOptions['onSent']): Promise<Body> {
  const stream = await open(part.start);
  return { stream: Readable.from(take(stream, part, onSent), { objectMode: false }), bytes: part.end - part.start };
}

/** A part of a stream that begins with it; where it is the last, the stream is read to its end, which verifies it. */
async function* take(stream: Readable, { start, end }: Part, onSent: UploadOptions['onSent']): AsyncGenerator<Buffer> {
  let at = start;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    const piece = chunk.subarray(0, end - at);
    at += piece.length;
    if (piece.length > 0) yield piece;
    await onSent?.(at);
    if (piece.length < chunk.length) return;
  }
}
