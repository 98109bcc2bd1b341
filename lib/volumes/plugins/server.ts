import { chmod, lstat, mkdir, unlink } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { dirname } from 'node:path';
import { RuntsError } from '../../errors.ts';
import type { DriverVolume, VolumeDriver } from '../driver.ts';
import { deviceAt } from '../files.ts';
import { pluginMediaType } from './client.ts';

/** Where `serveVolumeDriver` listens. */
export interface ServeOptions {
  /** Path of a unix socket: `/run/docker/plugins/NAME.sock` is where Docker looks for the driver NAME. */
  readonly socket: string;
  /** Of the socket. Default 0600: whoever may connect may have volumes made and mounted. */
  readonly mode?: number | undefined;
  /** Hears of each call that was answered, for a log. */
  readonly onCall?: ((call: ServedCall) => void) | undefined;
}

/** A call of the volume plugin protocol, and what was answered. */
export interface ServedCall {
  /** `VolumeDriver.Mount`. */
  readonly method: string;
  readonly request: object;
  readonly answer: object;
}

/** A driver that is being served. */
export interface ServedDriver extends AsyncDisposable {
  /** Its path. */
  readonly socket: string;
  /** Answers nothing more, and removes the socket. */
  close(): Promise<void>;
}

/**
 * Serves a driver to Docker, and to every other program that speaks its volume plugin protocol. Of several mounts of one
 * volume the driver hears of the first, and of the last unmount: ids are counted here.
 */
export async function serveVolumeDriver(driver: VolumeDriver, options: ServeOptions): Promise<ServedDriver> {
  const { socket, mode = 0o600, onCall } = options;
  await makeWay(socket);
  const volumes = new ServedVolumes(driver);
  const server = createServer((request, response) => {
    void serve(volumes, request, response, onCall);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(socket, resolve);
  });
  await chmod(socket, mode);
  let closing: Promise<void> | undefined;
  const close = (): Promise<void> => {
    closing ??= new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
    return closing;
  };
  return { socket, close, [Symbol.asyncDispose]: close };
}

/** A socket that nobody listens at was left by a process that was killed. */
async function makeWay(path: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o755 });
  const stats = await lstat(path).catch(() => undefined);
  if (stats === undefined) return;
  if (!stats.isSocket() || (await isAnswered(path))) {
    throw new RuntsError('ERR_EXISTS', `cannot serve a volume driver at ${path}: there is something already`, {
      hint: 'Another process serves there, or it is no socket.',
    });
  }
  await unlink(path);
}

const isAnswered = (path: string): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(path);
    const end = (answered: boolean) => (): void => {
      socket.destroy();
      resolve(answered);
    };
    socket.once('connect', end(true));
    socket.once('error', end(false));
  });

const requestBytesMax = 1024 * 1024;

async function serve(
  volumes: ServedVolumes,
  request: IncomingMessage,
  response: ServerResponse,
  onCall: ServeOptions['onCall'],
): Promise<void> {
  const method = (request.url ?? '').replace(/^\//, '');
  let status = 200;
  let asked: Asked = {};
  let answer: object;
  try {
    asked = await read(request);
    answer = await volumes.answer(method, asked);
  } catch (error) {
    status = error instanceof Unknown ? 404 : error instanceof Malformed ? 400 : 500;
    answer = { Err: error instanceof Error ? error.message : String(error) };
  }
  const text = JSON.stringify(answer);
  response.writeHead(status, { 'Content-Type': pluginMediaType, 'Content-Length': Buffer.byteLength(text) });
  response.end(text);
  onCall?.({ method, request: asked, answer });
}

/** What a request may have; all of it is checked where it is used. */
interface Asked {
  readonly Name?: unknown;
  readonly ID?: unknown;
  readonly Opts?: unknown;
}

class Malformed extends Error {}
class Unknown extends Error {}

async function read(request: IncomingMessage): Promise<Asked> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > requestBytesMax) throw new Malformed(`a request has at most ${requestBytesMax} bytes`);
    chunks.push(chunk);
  }
  const text = Buffer.concat(chunks).toString('utf8');
  if (text.trim() === '') return {};
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null) return value as Asked;
  } catch {
    // Told below.
  }
  throw new Malformed('the request is not a JSON object');
}

/** What is known of a volume while it is served. */
interface Served {
  /** The driver made it, or has it mounted: not only a name that somebody asked for. */
  known: boolean;
  options: Readonly<Record<string, string>>;
  created: string;
  mountpoint: string | undefined;
  /** The file system that is there while it is mounted. */
  device: string | undefined;
  readonly ids: Set<string>;
  /** One thing at a time: a mount that comes while another is being made waits for it. */
  turn: Promise<unknown>;
}

class ServedVolumes {
  readonly #driver: VolumeDriver;
  readonly #volumes = new Map<string, Served>();

  constructor(driver: VolumeDriver) {
    this.#driver = driver;
  }

  async answer(method: string, asked: Asked): Promise<object> {
    switch (method) {
      case 'Plugin.Activate':
        return { Implements: ['VolumeDriver'] };
      case 'VolumeDriver.Capabilities':
        return { Capabilities: { Scope: this.#driver.scope ?? 'local' } };
      case 'VolumeDriver.List':
        return { Volumes: (await this.#list()).map(shown), Err: '' };
      case 'VolumeDriver.Create':
      case 'VolumeDriver.Remove':
      case 'VolumeDriver.Get':
      case 'VolumeDriver.Path':
      case 'VolumeDriver.Mount':
      case 'VolumeDriver.Unmount': {
        const name = text(asked.Name, 'Name');
        const served = this.#served(name);
        const work = served.turn.then(() => this.#about(method, name, served, asked));
        const turn: Promise<void> = work.then(
          () => this.#forget(name, turn),
          () => this.#forget(name, turn),
        );
        served.turn = turn;
        return work;
      }
      default:
        throw new Unknown(`there is no method ${JSON.stringify(method.slice(0, 100))}`);
    }
  }

  async #about(method: string, name: string, served: Served, asked: Asked): Promise<object> {
    switch (method) {
      case 'VolumeDriver.Create': {
        const options = optionsOf(asked.Opts);
        await this.#driver.create({ name, options });
        Object.assign(served, { known: true, options, created: new Date().toISOString() });
        return { Err: '' };
      }
      case 'VolumeDriver.Remove':
        await this.#mustHave(name);
        if (served.ids.size > 0) throw new Error(`the volume ${name} is mounted ${served.ids.size} times`);
        await this.#driver.remove({ name, options: served.options });
        served.known = false;
        return { Err: '' };
      case 'VolumeDriver.Get':
        return { Volume: shown(await this.#mustHave(name)), Err: '' };
      case 'VolumeDriver.Path':
        return { Mountpoint: (await this.#mustHave(name)).mountpoint ?? '', Err: '' };
      case 'VolumeDriver.Mount':
        await this.#mustHave(name);
        return { Mountpoint: await this.#mount(name, served, text(asked.ID, 'ID')), Err: '' };
      default:
        await this.#mustHave(name);
        await this.#unmount(name, served, text(asked.ID, 'ID'));
        return { Err: '' };
    }
  }

  async #mount(name: string, served: Served, id: string): Promise<string> {
    const { mountpoint: before, device } = served;
    // What served the mount may have ended, or somebody may have unmounted it.
    if (before !== undefined && device === (await deviceAt(before))) {
      served.ids.add(id);
      return before;
    }
    const mountpoint = await this.#driver.mount({ name, options: served.options, id });
    Object.assign(served, { known: true, mountpoint, device: await deviceAt(mountpoint) });
    served.ids.add(id);
    return mountpoint;
  }

  /** An id that is not known, or was unmounted before, changes nothing. */
  async #unmount(name: string, served: Served, id: string): Promise<void> {
    if (!served.ids.has(id)) return;
    if (served.ids.size === 1) {
      await this.#driver.unmount({ name, options: served.options, id });
      served.mountpoint = undefined;
    }
    served.ids.delete(id);
  }

  #served(name: string): Served {
    const known = this.#volumes.get(name);
    if (known !== undefined) return known;
    const fresh = {
      known: false,
      options: {},
      created: '',
      mountpoint: undefined,
      device: undefined,
      ids: new Set<string>(),
    };
    const served: Served = { ...fresh, turn: Promise.resolve() };
    this.#volumes.set(name, served);
    return served;
  }

  /** A name that stands for nothing is not kept, when nobody else has asked for it meanwhile. */
  #forget(name: string, turn: Promise<unknown>): void {
    const served = this.#volumes.get(name);
    if (served?.turn === turn && !served.known) this.#volumes.delete(name);
  }

  async #mustHave(name: string): Promise<DriverVolume> {
    const served = this.#volumes.get(name);
    const found = this.#driver.get === undefined ? served?.known && { name } : await this.#driver.get(name);
    if (found === undefined || found === false) throw new Error(`no such volume: ${name}`);
    return { created: served?.created, mountpoint: served?.mountpoint, ...found };
  }

  async #list(): Promise<readonly DriverVolume[]> {
    const known = [...this.#volumes].filter(([, served]) => served.known).map(([name]) => ({ name }));
    const names = (await this.#driver.list?.()) ?? known;
    return names.map((volume) => {
      const served = this.#volumes.get(volume.name);
      return { created: served?.created, mountpoint: served?.mountpoint, ...volume };
    });
  }
}

function shown({ name, mountpoint, created, status }: DriverVolume): object {
  const time = created === undefined || created === '' ? {} : { CreatedAt: created };
  return { Name: name, Mountpoint: mountpoint ?? '', ...time, ...(status !== undefined && { Status: status }) };
}

function text(value: unknown, key: string): string {
  if (typeof value === 'string' && value !== '') return value;
  throw new Malformed(`the request has no "${key}"`);
}

function optionsOf(value: unknown): Readonly<Record<string, string>> {
  if (value === undefined || value === null) return {};
  const isOptions = typeof value === 'object' && Object.values(value).every((each) => typeof each === 'string');
  if (!isOptions) throw new Malformed('"Opts" is no object of texts');
  return value as Readonly<Record<string, string>>;
}
