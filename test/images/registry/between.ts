import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';

/** What happens to one request: an answer of its own, or `pass` to the registry behind, with its answer altered. */
export type Fault = (request: IncomingMessage, response: ServerResponse, pass: Pass) => unknown;
export type Pass = (alter?: Alteration) => void;

export interface Alteration {
  /** The connection is cut when so many bytes of the body have passed. */
  readonly cutAfter?: number;
  /** Nothing passes after so many bytes, and nothing ends. */
  readonly stallAfter?: number;
  /** Each chunk of the body on its way. */
  readonly body?: (chunk: Buffer) => Buffer;
  readonly headers?: Readonly<Record<string, string | undefined>>;
  readonly status?: number;
  /** The request's headers that the registry does not see. */
  readonly without?: readonly string[];
}

export interface Between {
  readonly host: string;
  /** `METHOD path`, in order. */
  readonly seen: string[];
  readonly requests: IncomingMessage[];
}

/** A server in front of a registry, with faults for what matches; the first that is there takes a request. */
export async function between(upstream: string | undefined, fault: Fault): Promise<Between> {
  const seen: string[] = [];
  const requests: IncomingMessage[] = [];
  const server = http.createServer((request, response) => {
    seen.push(`${request.method} ${request.url}`);
    requests.push(request);
    response.on('error', () => {});
    fault(request, response, (alter = {}) => forward(upstream!, request, response, alter));
  });
  server.on('clientError', (_error, socket) => socket.destroy());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { host: `127.0.0.1:${(server.address() as AddressInfo).port}`, seen, requests };
}

function forward(upstream: string, request: IncomingMessage, response: ServerResponse, alter: Alteration): void {
  const [hostname, port] = upstream.split(':');
  const headers: http.OutgoingHttpHeaders = { ...request.headers };
  for (const name of alter.without ?? []) delete headers[name];
  const onward = http.request({ hostname, port, method: request.method, path: request.url, headers }, (answer) => {
    const changed = { ...answer.headers, ...alter.headers };
    for (const [name, value] of Object.entries(changed)) if (value === undefined) delete changed[name];
    response.writeHead(alter.status ?? answer.statusCode ?? 500, changed);
    const { cutAfter, stallAfter, body = (same: Buffer) => same } = alter;
    const limit = cutAfter ?? stallAfter ?? Number.POSITIVE_INFINITY;
    let passed = 0;
    answer.on('data', (chunk: Buffer) => {
      const room = limit - passed;
      passed += chunk.length;
      response.write(body(chunk.subarray(0, room)));
      if (passed < limit) return;
      answer.removeAllListeners('data').pause();
      // What was written goes out before the connection goes.
      if (cutAfter !== undefined) response.socket?.destroySoon();
    });
    answer.on('end', () => response.end());
    answer.on('error', () => response.destroy());
  });
  onward.on('error', () => response.destroy());
  request.on('error', () => onward.destroy());
  request.pipe(onward);
}

export const isBlob = ({ method, url = '' }: IncomingMessage) => method === 'GET' && url.includes('/blobs/sha256:');
export const isManifest = ({ method, url = '' }: IncomingMessage) => method === 'GET' && url.includes('/manifests/');
export const isUploadData = ({ method, url = '' }: IncomingMessage) =>
  method === 'PATCH' && url.includes('/blobs/uploads/');

export function answer(
  response: ServerResponse,
  status: number,
  body = '',
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, { 'content-length': String(Buffer.byteLength(body)), ...headers });
  response.end(body);
}

export function apiError(response: ServerResponse, status: number, code: string, message: string, headers = {}): void {
  const body = JSON.stringify({ errors: [{ code, message }] });
  answer(response, status, body, { 'content-type': 'application/json', ...headers });
}
