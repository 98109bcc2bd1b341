import { RuntsError, specError } from '../errors.ts';
import type { Spec } from '../spec/types.ts';

/** Where this process reaches a port of a container. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

/** Of a container that shares the network of the host; the network of any other is its own. */
export function addressOf(name: string, { linux }: Spec, port: number): Address {
  checkPort(port);
  const network = linux?.namespaces?.find(({ type }) => type === 'network');
  if (network === undefined) return { host: '127.0.0.1', port };
  throw new RuntsError(
    'ERR_UNSUPPORTED',
    `port ${port} of container ${name} cannot be reached: its network is its own`,
    {
      hint: "Make it with network: 'host', or talk to it by a unix socket on a volume, or by exec.",
    },
  );
}

export function checkPort(port: unknown): void {
  if (Number.isInteger(port) && (port as number) >= 1 && (port as number) <= 65535) return;
  throw specError('there is no such port', [
    { path: '/port', message: `must be a number from 1 to 65535, not ${String(port)}` },
  ]);
}
