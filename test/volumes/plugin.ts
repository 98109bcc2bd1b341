import { mkdirSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { MountRequest, VolumeDriver, VolumeRequest } from '../../lib/volumes/driver.ts';

export interface Recorded {
  readonly method: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: unknown;
}

export type Answer = (request: Recorded, response: ServerResponse) => void;

/** A plugin that answers as it is told to, at a socket `<directory>/<name>.sock`, and what it was asked. */
export async function plugin(directory: string, name: string, answer: Answer): Promise<Recorded[]> {
  const recorded: Recorded[] = [];
  const server = createServer((request, response) => {
    void bodyOf(request).then((body) => {
      const asked = { method: (request.url ?? '').slice(1), headers: request.headers, body };
      recorded.push(asked);
      answer(asked, response);
    });
  });
  await new Promise<void>((resolve) => server.listen(join(directory, `${name}.sock`), resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return recorded;
}

async function bodyOf(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
  const text = Buffer.concat(chunks).toString();
  return text === '' ? undefined : JSON.parse(text);
}

/** Answers by method; what is not named is answered as a plugin that can do it would. */
export function answers(by: Readonly<Record<string, Answer | object>>): Answer {
  const usual: Readonly<Record<string, object>> = { 'Plugin.Activate': { Implements: ['VolumeDriver'] } };
  return (request, response) => {
    const answer = by[request.method] ?? usual[request.method] ?? {};
    if (typeof answer === 'function') (answer as Answer)(request, response);
    else response.end(JSON.stringify(answer));
  };
}

/** A driver that keeps directories, and says what it was told. */
export function directories(place: string, told: string[], name = 'dirs'): VolumeDriver {
  const volumes = new Map<string, VolumeRequest>();
  const note = (what: string, { name: of }: VolumeRequest): void => void told.push(`${what} ${of}`);
  return {
    name,
    scope: 'global',
    async create(volume) {
      note('create', volume);
      if (volume.options['fail'] !== undefined) throw new Error(volume.options['fail']);
      volumes.set(volume.name, volume);
    },
    async remove(volume) {
      note('remove', volume);
      volumes.delete(volume.name);
    },
    async mount(volume: MountRequest) {
      note('mount', volume);
      const path = join(place, volume.name);
      mkdirSync(path, { recursive: true, mode: 0o755 });
      return path;
    },
    async unmount(volume) {
      note('unmount', volume);
    },
    get: async (of) => (volumes.has(of) ? { name: of, status: { kept: 'here' } } : undefined),
    list: async () => [...volumes.keys()].map((of) => ({ name: of })),
  };
}
