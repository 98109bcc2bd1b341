import { readdir, readFile, stat } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';
import { RuntsError } from '../../errors.ts';

/** Where plugins are looked for. */
export interface PluginPlaces {
  readonly sockets: readonly string[];
  /** Of `.spec` and `.json` files. */
  readonly specs: readonly string[];
}

/** Docker's. */
export const standardPlaces: PluginPlaces = {
  sockets: ['/run/docker/plugins'],
  specs: ['/etc/docker/plugins', '/usr/lib/docker/plugins'],
};

/** The standard directories, and before them those of one's own, which may have files of all three kinds. */
export const placesOf = (own: readonly string[]): PluginPlaces => ({
  sockets: [...own, ...standardPlaces.sockets],
  specs: [...own, ...standardPlaces.specs],
});

export interface TlsFiles {
  readonly insecureSkipVerify: boolean;
  readonly caFile?: string | undefined;
  readonly certFile?: string | undefined;
  readonly keyFile?: string | undefined;
}

/** Where a plugin listens. */
export type PluginAddress =
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number; readonly tls: TlsFiles | undefined };

const namePattern = /^[a-zA-Z0-9][a-zA-Z0-9_.:-]*$/;
const specBytesMax = 64 * 1024;

/** Looks for a plugin as Docker does: a socket first, then a `.spec`, then a `.json`, each also in a directory of its name. */
export async function findPlugin(name: string, { sockets, specs }: PluginPlaces): Promise<PluginAddress> {
  if (!namePattern.test(name)) throw noSuchPlugin(name);
  for (const path of sockets.flatMap((place) => spots(place, name, 'sock'))) {
    if ((await stat(path).catch(() => undefined))?.isSocket()) return { kind: 'unix', path };
  }
  for (const kind of ['spec', 'json'] as const) {
    for (const path of specs.flatMap((place) => spots(place, name, kind))) {
      const text = await readSpec(path);
      if (text !== undefined) return kind === 'spec' ? parseSpec(text, path) : parseJson(text, path);
    }
  }
  throw noSuchPlugin(name);
}

const spots = (place: string, name: string, kind: string) => [
  join(place, `${name}.${kind}`),
  join(place, name, `${name}.${kind}`),
];

/** All that the directories name. */
export async function pluginNames({ sockets, specs }: PluginPlaces): Promise<readonly string[]> {
  const found = new Set<string>();
  for (const [places, kinds] of [[sockets, ['sock']] as const, [specs, ['spec', 'json']] as const]) {
    for (const place of places) {
      for (const entry of await readdir(place, { withFileTypes: true }).catch(() => [])) {
        const [, name, kind] = /^(.+)\.(sock|spec|json)$/.exec(entry.name) ?? [];
        if (name !== undefined && (kinds as readonly string[]).includes(kind!)) found.add(name);
        if (!entry.isDirectory()) continue;
        const inside: readonly string[] = await readdir(join(place, entry.name)).catch(() => []);
        if (kinds.some((each) => inside.includes(`${entry.name}.${each}`))) found.add(entry.name);
      }
    }
  }
  return [...found].filter((name) => namePattern.test(name));
}

async function readSpec(path: string): Promise<string | undefined> {
  const stats = await stat(path).catch(() => undefined);
  if (stats === undefined) return undefined;
  if (!stats.isFile() || stats.size > specBytesMax) throw badSpec(path, 'it is no file of a plugin’s size');
  return readFile(path, 'utf8').catch((cause: unknown) => {
    throw badSpec(path, `it cannot be read: ${(cause as NodeJS.ErrnoException).code}`);
  });
}

/** A `.spec` holds a URL. */
const parseSpec = (text: string, path: string): PluginAddress => parseAddress(text.trim(), undefined, path);

interface PluginJson {
  readonly Addr?: unknown;
  readonly TLSConfig?: Readonly<Record<string, unknown>> | null;
}

function parseJson(text: string, path: string): PluginAddress {
  let parsed: PluginJson | null;
  try {
    parsed = JSON.parse(text) as PluginJson | null;
  } catch (cause) {
    throw badSpec(path, `it is not JSON: ${(cause as Error).message}`);
  }
  if (typeof parsed?.Addr !== 'string') throw badSpec(path, 'it has no "Addr"');
  const { TLSConfig: tls } = parsed;
  return parseAddress(parsed.Addr, tls === undefined || tls === null ? undefined : tlsFiles(tls, path), path);
}

function tlsFiles(config: Readonly<Record<string, unknown>>, path: string): TlsFiles {
  const file = (key: string): string | undefined => {
    const value = config[key];
    if (value === undefined || value === '') return undefined;
    if (typeof value !== 'string' || !isAbsolute(value))
      throw badSpec(path, `TLSConfig.${key} is not an absolute path`);
    return value;
  };
  return {
    insecureSkipVerify: config['InsecureSkipVerify'] === true,
    caFile: file('CAFile'),
    certFile: file('CertFile'),
    keyFile: file('KeyFile'),
  };
}

function parseAddress(text: string, tls: TlsFiles | undefined, path: string): PluginAddress {
  const [, scheme, rest = ''] = /^(unix|tcp|https?):\/\/(.*)$/s.exec(text) ?? [];
  if (scheme === 'unix' && isAbsolute(rest)) return { kind: 'unix', path: rest };
  const url = scheme === undefined || scheme === 'unix' ? undefined : parseUrl(`http://${rest}`);
  if (url === undefined || url.hostname === '' || rest.includes('@')) {
    throw badSpec(path, `${JSON.stringify(text.slice(0, 200))} is no address: unix:///PATH or tcp://HOST:PORT`);
  }
  const secure = tls ?? (scheme === 'https' ? { insecureSkipVerify: false } : undefined);
  const port = url.port === '' ? (secure === undefined ? 80 : 443) : Number(url.port);
  return { kind: 'tcp', host: url.hostname.replace(/^\[|\]$/g, ''), port, tls: secure };
}

function parseUrl(text: string): URL | undefined {
  try {
    return new URL(text);
  } catch {
    return undefined;
  }
}

const noSuchPlugin = (name: string) =>
  new RuntsError('ERR_NOT_FOUND', `there is no volume driver ${JSON.stringify(name)}`, {
    hint: 'Besides "local" there are plugins: NAME.sock in /run/docker/plugins, NAME.spec or NAME.json in /etc/docker/plugins and /usr/lib/docker/plugins, and any of them in directories of one’s own.',
  });

const badSpec = (path: string, why: string) => new RuntsError('ERR_DRIVER', `cannot use the plugin of ${path}: ${why}`);
