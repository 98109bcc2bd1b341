import { readFile } from 'node:fs/promises';
import { get } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { specError } from '../errors.ts';
import { checkPort } from './address.ts';
import type { Container } from './container.ts';

/** Between two tries: short at first, for what is up at once. */
const pauseMs = { first: 10, last: 500 };
/** A server that does not answer is asked anew. */
const answerMs = 5000;

/** A GET to a server in the container, for `ready.http`. */
export interface HttpRequest {
  readonly port: number;
  readonly path: string;
  /** Of the answer; 200 unless it is said. */
  readonly status?: number | undefined;
}

/** A socket of the container's network listens at a TCP port, whatever its address. */
export function listens(port: number) {
  checkPort(port);
  return (container: Container, signal: AbortSignal): Promise<void> =>
    untilTrue(signal, async () => {
      const { pid } = container;
      if (pid === undefined) return false;
      const tables = await Promise.all(
        ['tcp', 'tcp6'].map((name) => readFile(`/proc/${pid}/net/${name}`, 'utf8').catch(() => '')),
      );
      return tables.some((table) => isListening(table, port));
    });
}

/** A server of the container answers a GET with a status. */
export function answers({ port, path, status = 200 }: HttpRequest) {
  checkPort(port);
  const issues = [
    ...(typeof path === 'string' && path.startsWith('/') ? [] : [{ path: '/path', message: 'must begin with "/"' }]),
    ...(Number.isInteger(status) ? [] : [{ path: '/status', message: 'must be a number' }]),
  ];
  if (issues.length > 0) throw specError('cannot wait for this answer', issues);
  return (container: Container, signal: AbortSignal): Promise<void> => {
    const address = container.address(port);
    return untilTrue(signal, async () => (await statusOf({ ...address, path }, signal)) === status);
  };
}

/** Lines of /proc/net/tcp: number, address:port in hexadecimal digits, the other end, the state. */
function isListening(table: string, port: number): boolean {
  const listen = '0A';
  const wanted = port.toString(16).toUpperCase().padStart(4, '0');
  return table.split('\n').some((line) => {
    const [, address = '', , state] = line.trim().split(/\s+/);
    return state === listen && address.endsWith(`:${wanted}`);
  });
}

/** Undefined where nobody answers. */
function statusOf(
  { host, port, path }: { readonly host: string; readonly port: number; readonly path: string },
  signal: AbortSignal,
): Promise<number | undefined> {
  return new Promise((resolve) => {
    const limited = AbortSignal.any([signal, AbortSignal.timeout(answerMs)]);
    get({ host, port, path, agent: false, signal: limited }, (response) => {
      resolve(response.statusCode);
      response.destroy();
    }).on('error', () => resolve(undefined));
  });
}

async function untilTrue(signal: AbortSignal, holds: () => Promise<boolean>): Promise<void> {
  for (let ms = pauseMs.first; ; ms = Math.min(ms * 2, pauseMs.last)) {
    signal.throwIfAborted();
    if (await holds()) return;
    await sleep(ms, undefined, { signal });
  }
}
