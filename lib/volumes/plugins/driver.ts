import { lstat, realpath } from 'node:fs/promises';
import { isAbsolute, normalize } from 'node:path';
import { RuntsError } from '../../errors.ts';
import type { DriverVolume, MountRequest, VolumeDriver, VolumeRequest } from '../driver.ts';
import type { Scope } from '../record.ts';
import { type ClientOptions, PluginClient } from './client.ts';
import type { PluginAddress } from './discovery.ts';

/** As long as Docker waits: for what may take a while, and for the rest. */
const longMs = 120_000;
const shortMs = 60_000;

export interface PluginOptions extends ClientOptions {
  /** Instead of Docker's two minutes and one. */
  readonly timeoutMs?: number | undefined;
}

type Answer = Readonly<Record<string, unknown>>;

/** Volumes of another program, by the volume plugin protocol of Docker. What it says is not trusted. */
export class PluginDriver implements VolumeDriver {
  readonly name: string;
  readonly address: PluginAddress;
  readonly scope: Scope;
  readonly #client: PluginClient;
  readonly #timeoutMs: number | undefined;

  private constructor(name: string, address: PluginAddress, client: PluginClient, scope: Scope, timeoutMs?: number) {
    this.name = name;
    this.address = address;
    this.scope = scope;
    this.#client = client;
    this.#timeoutMs = timeoutMs;
  }

  /** Shakes hands with a plugin and asks what it can do. ERR_DRIVER where it has no volumes. */
  static async open(name: string, address: PluginAddress, options: PluginOptions = {}): Promise<PluginDriver> {
    const client = new PluginClient(name, address, options);
    const timeoutMs = options.timeoutMs ?? shortMs;
    const { Implements: implemented } = await client.call({ method: 'Plugin.Activate', timeoutMs, retries: true });
    if (!Array.isArray(implemented) || !implemented.includes('VolumeDriver')) {
      throw new RuntsError(
        'ERR_DRIVER',
        `the plugin ${name} has no volumes: it implements ${JSON.stringify(implemented ?? [])}`,
      );
    }
    const scope = await capabilities(client, timeoutMs);
    return new PluginDriver(name, address, client, scope, options.timeoutMs);
  }

  async create({ name, options }: VolumeRequest): Promise<void> {
    await this.#call('Create', { Name: name, Opts: options }, longMs);
  }

  async remove({ name }: VolumeRequest): Promise<void> {
    await this.#call('Remove', { Name: name });
  }

  async mount({ name, id }: MountRequest): Promise<string> {
    const { Mountpoint: mountpoint } = await this.#call('Mount', { Name: name, ID: id }, longMs);
    try {
      return await checkMountpoint(mountpoint);
    } catch (error) {
      // It has mounted something: where, nobody knows, and it is to let go of it.
      await this.#call('Unmount', { Name: name, ID: id }).catch(() => undefined);
      const why = error instanceof Error ? error.message : String(error);
      throw new RuntsError(
        'ERR_DRIVER',
        `the plugin ${this.name} gives no usable place for the volume ${name}: ${why}`,
        {
          cause: error,
        },
      );
    }
  }

  async unmount({ name, id }: MountRequest): Promise<void> {
    await this.#call('Unmount', { Name: name, ID: id });
  }

  async path(name: string): Promise<string | undefined> {
    return textOf((await this.#call('Path', { Name: name }))['Mountpoint']);
  }

  /** Undefined where it has none of this name, which plugins tell by an error. */
  async get(name: string): Promise<DriverVolume | undefined> {
    try {
      const { Volume: volume } = await this.#call('Get', { Name: name });
      return this.#volume(volume, name);
    } catch (error) {
      // It answered, and not with the volume.
      if (RuntsError.is(error) && error.code === 'ERR_DRIVER' && !isUnreachable(error)) return undefined;
      throw error;
    }
  }

  async list(): Promise<readonly DriverVolume[]> {
    const { Volumes: volumes } = await this.#call('List');
    if (volumes === undefined || volumes === null) return [];
    if (!Array.isArray(volumes)) throw this.#lied('List', 'its "Volumes" is no list');
    return volumes.map((volume) => this.#volume(volume, undefined));
  }

  #call(method: string, body: object = {}, timeoutMs = shortMs): Promise<Answer> {
    const call = { method: `VolumeDriver.${method}`, body, timeoutMs: this.#timeoutMs ?? timeoutMs, retries: true };
    return this.#client.call(call);
  }

  #volume(value: unknown, asked: string | undefined): DriverVolume {
    const volume = (typeof value === 'object' && value !== null ? value : {}) as Answer;
    const name = textOf(volume['Name']);
    if (name === undefined) throw this.#lied(asked === undefined ? 'List' : 'Get', 'a volume has no "Name"');
    if (asked !== undefined && name !== asked)
      throw this.#lied('Get', `it was asked for ${asked}, and told of ${name}`);
    const status = volume['Status'];
    return {
      name,
      mountpoint: textOf(volume['Mountpoint']),
      created: textOf(volume['CreatedAt']),
      ...(typeof status === 'object' && status !== null && { status: status as Answer }),
    };
  }

  #lied(method: string, why: string): RuntsError {
    return new RuntsError('ERR_DRIVER', `the plugin ${this.name} failed at VolumeDriver.${method}: ${why}`);
  }
}

const textOf = (value: unknown): string | undefined => (typeof value === 'string' && value !== '' ? value : undefined);

const isUnreachable = ({ cause }: RuntsError): boolean => cause instanceof Error;

/** Plugins from before there were capabilities have volumes of this machine. */
async function capabilities(client: PluginClient, timeoutMs: number): Promise<Scope> {
  const answer = await client
    .call({ method: 'VolumeDriver.Capabilities', body: {}, timeoutMs, retries: false })
    .catch((error: unknown) => {
      if (RuntsError.is(error) && error.code === 'ERR_DRIVER') return {};
      throw error;
    });
  const told = (answer as Answer)['Capabilities'];
  const scope = typeof told === 'object' && told !== null ? (told as Answer)['Scope'] : undefined;
  return typeof scope === 'string' && scope.toLowerCase() === 'global' ? 'global' : 'local';
}

/** A path as it is, with no link in it: what is mounted is what the plugin has said, and nothing that a link leads to. */
async function checkMountpoint(mountpoint: unknown): Promise<string> {
  if (typeof mountpoint !== 'string' || mountpoint === '') throw new Error('it named no mountpoint');
  const shown = JSON.stringify(mountpoint.slice(0, 4096));
  if (!isAbsolute(mountpoint) || mountpoint.includes('\0')) throw new Error(`${shown} is not an absolute path`);
  const path = normalize(mountpoint).replace(/(?<=.)\/+$/, '');
  if (path === '/') throw new Error('it named the root of the host');
  const stats = await lstat(path).catch((error: NodeJS.ErrnoException) => {
    throw new Error(`${shown}: ${error.code}`);
  });
  if (stats.isSymbolicLink() || (await realpath(path)) !== path)
    throw new Error(`${shown} is, or goes through, a symbolic link`);
  if (!stats.isDirectory()) throw new Error(`${shown} is not a directory`);
  return path;
}
