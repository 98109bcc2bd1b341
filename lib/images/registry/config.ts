import { readFile } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';
import { type Issue, RuntsError, specError } from '../../errors.ts';
import { parseDomain } from '../reference.ts';
import { defaultTiming, type Timing } from './timing.ts';

/** What a user may say of one registry, in registries.json or to `createRuntime`. */
export interface RegistrySettings {
  /** Asked first, in order, for what is read: `https://mirror.example`. What none of them has, the registry is asked. */
  readonly mirrors?: readonly string[];
  /** It may speak plain HTTP, and its certificate is not verified. */
  readonly insecure?: boolean;
}

/** By the registry's name: `docker.io`, `localhost:5000`. */
export type Registries = Readonly<Record<string, RegistrySettings>>;

/** Everything that a client of registries takes from its surroundings. */
export interface RegistryConfig {
  readonly registries: Registries;
  /** Directories with a directory for each host: `certs.d`. */
  readonly certificates: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly timing: Timing;
}

const fileBytesMax = 1024 * 1024;
const fileName = 'registries.json';

/** Reads what is configured for the user, or where that is nothing, for the machine; `own` goes over it. */
export async function loadRegistryConfig(
  own: Registries = {},
  environment: Readonly<Record<string, string | undefined>> = process.env,
): Promise<RegistryConfig> {
  const directories = [userDirectory(environment), '/etc/runts'];
  const certificates = [...directories, '/etc/docker', '/etc/containers'].map((each) => join(each, 'certs.d'));
  let configured: Registries = {};
  for (const directory of directories) {
    const found = await readRegistries(join(directory, fileName));
    if (found === undefined) continue;
    configured = found;
    break;
  }
  const registries = Object.fromEntries([...Object.entries(configured), ...Object.entries(checkRegistries(own))]);
  return { registries, certificates, environment, timing: defaultTiming };
}

function userDirectory(environment: Readonly<Record<string, string | undefined>>): string {
  const config = environment['XDG_CONFIG_HOME'];
  if (config !== undefined && isAbsolute(config)) return join(config, 'runts');
  return join(environment['HOME'] || '/', '.config/runts');
}

async function readRegistries(path: string): Promise<Registries | undefined> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw new RuntsError('ERR_SETUP', `cannot read ${path}: ${message}`, { cause });
  }
  if (text.length > fileBytesMax) throw new RuntsError('ERR_SPEC', `${path} has more than ${fileBytesMax} bytes`);
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (cause) {
    throw new RuntsError('ERR_SPEC', `${path} is not JSON: ${(cause as Error).message}`, { cause });
  }
  return checkRegistries(document, path);
}

/** Checks what somebody configured; every issue at once. */
export function checkRegistries(value: unknown, what = 'the registries'): Registries {
  const issues: Issue[] = [];
  const registries: [string, RegistrySettings][] = [];
  if (!isObject(value)) throw specError(`cannot use ${what}`, [{ path: '', message: 'must be an object by registry' }]);
  for (const [name, settings] of Object.entries(value)) {
    const path = `/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`;
    const domain = domainOf(name);
    if (domain === undefined) issues.push({ path, message: 'is no name of a registry, as in localhost:5000' });
    if (!isObject(settings)) issues.push({ path, message: 'must be an object with mirrors and insecure' });
    else {
      issues.push(...issuesOf(settings, path));
      registries.push([domain ?? name, settings as RegistrySettings]);
    }
  }
  if (issues.length > 0) throw specError(`cannot use ${what}`, issues);
  return Object.fromEntries(registries);
}

function issuesOf(settings: Readonly<Record<string, unknown>>, path: string): Issue[] {
  const issues: Issue[] = [];
  for (const [key, value] of Object.entries(settings)) {
    const at = `${path}/${key}`;
    if (key === 'insecure') {
      if (typeof value !== 'boolean') issues.push({ path: at, message: 'must be true or false' });
    } else if (key === 'mirrors') {
      if (!Array.isArray(value) || value.length > mirrorsMax) {
        issues.push({ path: at, message: `must be a list of at most ${mirrorsMax} addresses` });
      } else value.forEach((mirror, index) => void (isMirror(mirror) || issues.push(noMirror(`${at}/${index}`))));
    } else issues.push({ path: at, message: 'unknown setting; there are mirrors and insecure' });
  }
  return issues;
}

const mirrorsMax = 10;
const noMirror = (path: string): Issue => ({
  path,
  message: 'must be an address without a path, as in https://mirror.example:5000',
});

function isMirror(value: unknown): boolean {
  if (typeof value !== 'string' || !URL.canParse(value)) return false;
  const { protocol, pathname, search, hash, username } = new URL(value);
  return /^https?:$/.test(protocol) && pathname === '/' && search + hash + username === '';
}

function domainOf(name: string): string | undefined {
  try {
    return parseDomain(name);
  } catch {
    return undefined;
  }
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
