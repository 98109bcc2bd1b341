import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { temporaryDirectory } from '../../support/unpacked.ts';

export interface Daemon {
  /** `127.0.0.1:41234`. */
  readonly host: string;
  readonly directory: string;
}

export interface DaemonOptions {
  readonly tls?: Identity;
  /** Sections of its configuration: `auth`. */
  readonly auth?: unknown;
}

/** Starts Debian's docker-registry on a free port of this machine, until the test ends. */
export async function startRegistry(options: DaemonOptions = {}): Promise<Daemon> {
  const { stop, ...daemon } = await serve(await temporaryDirectory(), options);
  onTestFinished(stop);
  return daemon;
}

/** The same until `stop` is called: for all tests of a file. */
export async function startSharedRegistry(): Promise<Daemon & { readonly stop: () => Promise<void> }> {
  const directory = await mkdtemp(join(tmpdir(), 'runts-test-'));
  const { stop, ...daemon } = await serve(directory, {});
  return {
    ...daemon,
    stop: async () => {
      await stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

async function serve(
  directory: string,
  { tls, auth }: DaemonOptions,
): Promise<Daemon & { readonly stop: () => Promise<void> }> {
  const configuration = {
    version: 0.1,
    log: { level: 'info' },
    storage: { filesystem: { rootdirectory: join(directory, 'data') }, delete: { enabled: true } },
    http: {
      addr: '127.0.0.1:0',
      secret: 'of-this-test',
      ...(tls && { tls: { certificate: tls.certificate, key: tls.key } }),
    },
    ...(auth !== undefined && { auth }),
  };
  const file = join(directory, 'config.yml');
  // JSON is YAML.
  writeFileSync(file, JSON.stringify(configuration));
  const child = spawn('docker-registry', ['serve', file], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env['PATH'] },
  });
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const stop = async (): Promise<void> => {
    child.kill('SIGKILL');
    await ended;
  };
  let said = '';
  const host = await new Promise<string>((resolve, reject) => {
    const hear = (chunk: Buffer): void => {
      said += chunk;
      const port = /listening on [^"]*?:(\d+)/.exec(said)?.[1];
      if (port !== undefined) resolve(`127.0.0.1:${port}`);
    };
    child.stdout.on('data', hear);
    child.stderr.on('data', hear);
    child.once('exit', () => reject(new Error(`docker-registry ended: ${said}`)));
  });
  return { host, directory, stop };
}

/** A certificate for 127.0.0.1 and localhost, and the authority that it is by. */
export interface Identity {
  readonly ca: string;
  readonly certificate: string;
  readonly key: string;
}

export async function makeIdentity(): Promise<Identity> {
  const directory = await temporaryDirectory();
  const path = (name: string) => join(directory, name);
  const openssl = (...args: string[]) => execFileSync('openssl', args, { stdio: 'pipe' });
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  openssl(
    'req',
    '-x509',
    ...curve,
    '-keyout',
    path('ca.key'),
    '-out',
    path('ca.crt'),
    '-days',
    '2',
    '-subj',
    '/CN=test authority',
  );
  openssl('req', ...curve, '-keyout', path('own.key'), '-out', path('own.csr'), '-subj', '/CN=registry');
  writeFileSync(path('names'), 'subjectAltName=IP:127.0.0.1,DNS:localhost\n');
  openssl(
    ...['x509', '-req', '-in', path('own.csr'), '-CA', path('ca.crt'), '-CAkey', path('ca.key')],
    ...['-CAcreateserial', '-out', path('own.crt'), '-days', '2', '-extfile', path('names')],
  );
  return { ca: path('ca.crt'), certificate: path('own.crt'), key: path('own.key') };
}

/** A file of names and passwords as docker-registry reads it. */
export async function makePasswords(username: string, password: string): Promise<string> {
  const directory = await temporaryDirectory();
  mkdirSync(directory, { recursive: true });
  const file = join(directory, 'htpasswd');
  writeFileSync(file, execFileSync('htpasswd', ['-nbB', '-C', '4', username, password]));
  return file;
}
