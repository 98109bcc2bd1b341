import http, { type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import https from 'node:https';
import { pipeline, type Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import type { Connections } from './connections.ts';
import { wrongAnswer } from './failure.ts';
import type { Timing } from './timing.ts';

/** One request, as it goes over the wire. */
export interface Exchange {
  readonly method: string;
  readonly url: URL;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Body | undefined;
}

export type Body = Buffer | { readonly stream: Readable; readonly bytes: number };

/** What came back. Whoever gets it reads the body to its end, or destroys it. */
export interface Answer {
  readonly status: number;
  readonly reason: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Readable;
  readonly url: URL;
}

/** Asks once: no credentials, no redirect, no second try. Rejects with what the network said. */
export function exchange(
  connections: Connections,
  { method, url, headers = {}, body }: Exchange,
  timing: Timing,
  signal: AbortSignal | undefined,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const { request: options, headers: ours } = connections.optionsFor(url);
    const request = (options.agent instanceof https.Agent ? https : http).request({
      ...options,
      method,
      // What is hashed is what is stored: nothing on the way need compress it.
      headers: { 'accept-encoding': 'identity', 'user-agent': userAgent, ...lengthOf(body), ...ours, ...headers },
      ...(signal && { signal }),
    });
    // Bytes that go either way keep it alive; once there is an answer, whoever reads it watches.
    request.setTimeout(timing.stallMs, () => request.destroy(stalled(timing.stallMs)));
    request.once('error', reject);
    request.once('response', (response) => {
      request.setTimeout(0);
      // An error after the answer is the body's, which hears of it too.
      request.on('error', () => {});
      resolve(answerOf(response, url));
    });
    send(request, body);
  });
}

const userAgent = 'runts';

export function stalled(ms: number): NodeJS.ErrnoException {
  return Object.assign(new Error(`no answer for ${ms / 1000} s`), { code: 'ETIMEDOUT' });
}

function lengthOf(body: Body | undefined): Record<string, string> {
  if (body === undefined) return {};
  return { 'content-length': String(Buffer.isBuffer(body) ? body.length : body.bytes) };
}

function send(request: http.ClientRequest, body: Body | undefined): void {
  if (body === undefined || Buffer.isBuffer(body)) {
    request.end(body);
    return;
  }
  // An answer may come before all was sent; what is left is nobody's then.
  request.once('response', (response) => response.once('close', () => body.stream.destroy()));
  pipeline(body.stream, request, (error) => {
    if (error) request.destroy(error);
  });
}

function answerOf(response: IncomingMessage, url: URL): Answer {
  const body = decoded(response);
  // It may break off while nobody reads; whoever does hears of it all the same.
  for (const stream of [response, body]) stream.on('error', () => {});
  return {
    status: response.statusCode ?? 0,
    reason: response.statusMessage ?? '',
    headers: response.headers,
    body,
    url,
  };
}

/** Some proxies compress what nobody asked them to. */
function decoded(response: IncomingMessage): Readable {
  const encoding = response.headers['content-encoding'];
  if (encoding !== 'gzip' && encoding !== 'x-gzip') return response;
  return pipeline(response, createGunzip(), () => {});
}

/** Reads a small document whole, within its size and time; the rest of one that is larger is not read. */
export async function readAnswer(
  answer: Answer,
  asked: string,
  { bytesMax, timing }: { readonly bytesMax: number; readonly timing: Timing },
): Promise<Buffer> {
  const { body } = answer;
  const timer = setTimeout(() => body.destroy(stalled(timing.documentMs)), timing.documentMs);
  const parts: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const part of body as AsyncIterable<Buffer>) {
      bytes += part.length;
      if (bytes > bytesMax) throw wrongAnswer(asked, answer.url.host, `more than ${bytesMax} bytes`);
      parts.push(part);
    }
    return Buffer.concat(parts);
  } finally {
    clearTimeout(timer);
    body.destroy();
  }
}

/** The beginning of what an answer says, for a message: whatever goes wrong with it, that is all there is. */
export async function readSome(answer: Answer, bytesMax: number, timing: Timing): Promise<Buffer> {
  const parts: Buffer[] = [];
  let bytes = 0;
  const timer = setTimeout(() => answer.body.destroy(), timing.stallMs);
  try {
    for await (const part of answer.body as AsyncIterable<Buffer>) {
      parts.push(part);
      bytes += part.length;
      if (bytes >= bytesMax) break;
    }
  } catch {
    // What was read is better than nothing.
  } finally {
    clearTimeout(timer);
    answer.body.destroy();
  }
  return Buffer.concat(parts).subarray(0, bytesMax);
}

const goneBytesMax = 64 * 1024;

/** Lets an answer's body go: a short one is read, so that its connection can be used again. */
export async function letGo(answer: Answer, timing: Timing): Promise<void> {
  await readSome(answer, goneBytesMax, timing);
}
