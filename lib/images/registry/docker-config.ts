import { randomBytes } from 'node:crypto';
import { mkdir, open, readFile, realpath, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { RuntsError } from '../../errors.ts';
import { defaultDomain } from '../reference.ts';
import type { Credentials } from './credentials.ts';
import { helperErase, helperGet, helperStore, type Kept } from './helper.ts';

type Environment = Readonly<Record<string, string | undefined>>;
type Json = Record<string, unknown>;

/** The key of Docker Hub in Docker's config.json; for every other registry it is its host. */
const hubKey = 'https://index.docker.io/v1/';
const fileBytesMax = 4 * 1024 * 1024;
const tokenUser = '<token>';

/** Docker's config.json: who we are to which registry. Read each time: other programs log in, too. */
export class DockerConfig {
  readonly path: string;
  readonly #environment: Environment;

  constructor(environment: Environment) {
    const directory = environment['DOCKER_CONFIG'] || join(environment['HOME'] || '/', '.docker');
    this.path = join(directory, 'config.json');
    this.#environment = environment;
  }

  /** The credentials for a registry: from its own helper, from the helper for all, or from the file. */
  async credentials(domain: string): Promise<Credentials | undefined> {
    const document = await this.#read();
    const server = serverOf(domain);
    const helper = this.#helper(document, domain);
    if (helper !== undefined) {
      const kept = await helperGet(helper, server, this.#environment);
      if (kept !== undefined) return fromKept(kept);
    }
    const auths = record(document['auths']);
    const key = findKey(auths, domain);
    return key === undefined ? undefined : fromEntry(record(auths[key]), key, this.path);
  }

  /** Keeps credentials as `docker login` does: with the helper where one is configured, else in the file. */
  async store(domain: string, username: string, credentials: Credentials): Promise<'helper' | 'file'> {
    const server = serverOf(domain);
    const helper = this.#helper(await this.#read(), domain);
    if (helper !== undefined) {
      await helperStore(helper, server, toKept(username, credentials), this.#environment);
      // A helper's entry stands in the file too, empty, for programs that list who is logged in where.
      await this.#change((auths) => Object.assign(auths, { [server]: {} }));
      return 'helper';
    }
    await this.#change((auths) => Object.assign(auths, { [server]: toEntry(username, credentials) }));
    return 'file';
  }

  /** Forgets credentials; false where there were none. */
  async erase(domain: string): Promise<boolean> {
    const document = await this.#read();
    const helper = this.#helper(document, domain);
    const had = (await this.credentials(domain)) !== undefined;
    if (helper !== undefined) await helperErase(helper, serverOf(domain), this.#environment);
    if (findKey(record(document['auths']), domain) !== undefined) {
      await this.#change((auths) => {
        for (let key = findKey(auths, domain); key !== undefined; key = findKey(auths, domain)) delete auths[key];
      });
    }
    return had;
  }

  #helper(document: Json, domain: string): string | undefined {
    const own = record(document['credHelpers']);
    const names = [serverOf(domain), domain].map((key) => (Object.hasOwn(own, key) ? own[key] : undefined));
    const name = [...names, document['credsStore']].find((each) => typeof each === 'string' && each !== '');
    return name as string | undefined;
  }

  async #read(): Promise<Json> {
    try {
      const { size } = await stat(this.path);
      if (size > fileBytesMax) throw new Error(`it has ${size} bytes`);
      const text = await readFile(this.path, 'utf8');
      return text.trim() === '' ? {} : object(JSON.parse(text));
    } catch (cause) {
      const { code, message } = cause as NodeJS.ErrnoException;
      if (code === 'ENOENT' || code === 'ENOTDIR') return {};
      const hint = 'It is where docker login keeps credentials; DOCKER_CONFIG names another directory.';
      throw new RuntsError('ERR_SETUP', `cannot read ${this.path}: ${message}`, { cause, hint });
    }
  }

  /** Other programs' settings stay as they are; whoever reads meanwhile sees the old file or the new one. */
  async #change(edit: (auths: Json) => void): Promise<void> {
    const document = await this.#read();
    const auths = { ...record(document['auths']) };
    edit(auths);
    await mkdir(dirname(this.path), { recursive: true, mode: 0o700 });
    // Where it is a link, what it leads to is replaced.
    const path = await realpath(this.path).catch(() => this.path);
    const temporary = `${path}.${randomBytes(6).toString('hex')}`;
    try {
      const file = await open(temporary, 'wx', 0o600);
      try {
        await file.writeFile(`${JSON.stringify({ ...document, auths }, undefined, '\t')}\n`);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(temporary, path);
    } catch (cause) {
      await rm(temporary, { force: true });
      throw new RuntsError('ERR_SETUP', `cannot write ${path}: ${(cause as Error).message}`, { cause });
    }
  }
}

/** What Docker calls a registry in its configuration. */
function serverOf(domain: string): string {
  return domain === defaultDomain ? hubKey : domain;
}

/** The entry of a registry; programs have written hosts, and URLs with paths. */
function findKey(auths: Json, domain: string): string | undefined {
  const server = serverOf(domain);
  if (Object.hasOwn(auths, server)) return server;
  const names = domain === defaultDomain ? [domain, 'index.docker.io', 'registry-1.docker.io'] : [domain];
  return Object.keys(auths).find((key) => names.includes(key.replace(/^https?:\/\//, '').replace(/\/.*$/, '')));
}

function fromEntry(entry: Json, key: string, path: string): Credentials | undefined {
  const { auth, username, password, identitytoken: identityToken, registrytoken: registryToken } = entry;
  if (typeof registryToken === 'string' && registryToken !== '') return { registryToken };
  if (typeof identityToken === 'string' && identityToken !== '') return { identityToken };
  if (typeof auth === 'string' && auth !== '') {
    const pair = Buffer.from(auth, 'base64').toString();
    const colon = pair.indexOf(':');
    if (colon > 0) return { username: pair.slice(0, colon), password: pair.slice(colon + 1).replace(/\0+$/, '') };
    throw new RuntsError('ERR_SETUP', `the credentials for ${key} in ${path} are no name and password`, {
      hint: 'Log in anew: runts login.',
    });
  }
  if (typeof username === 'string' && typeof password === 'string') return { username, password };
  return undefined;
}

function toEntry(username: string, credentials: Credentials): Json {
  if ('registryToken' in credentials) return { registrytoken: credentials.registryToken };
  const password = 'password' in credentials ? credentials.password : '';
  const auth = Buffer.from(`${username}:${password}`).toString('base64');
  return 'identityToken' in credentials ? { auth, identitytoken: credentials.identityToken } : { auth };
}

function fromKept({ username, secret }: Kept): Credentials {
  return username === tokenUser ? { identityToken: secret } : { username, password: secret };
}

function toKept(username: string, credentials: Credentials): Kept {
  if ('identityToken' in credentials) return { username: tokenUser, secret: credentials.identityToken };
  return { username, secret: 'password' in credentials ? credentials.password : credentials.registryToken };
}

function object(value: unknown): Json {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Json;
  throw new Error('it is no JSON object');
}

const record = (value: unknown): Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : {};
