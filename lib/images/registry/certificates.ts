import { accessSync, constants, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { rootCertificates } from 'node:tls';
import { RuntsError } from '../../errors.ts';

/** What a connection to a host verifies it by, and shows of its own. */
export interface HostCertificates {
  readonly ca: string[];
  readonly cert?: string;
  readonly key?: string;
}

const fileBytesMax = 4 * 1024 * 1024;

/** Where distributions keep the authorities that the machine trusts. */
const systemFiles = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
  '/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem',
  '/etc/ssl/cert.pem',
];

/**
 * The certificates for a host: what the machine and Node's environment trust and, from the first of the directories that
 * has one named as the host (`certs.d/localhost:5000`), every `*.crt` as an authority and a pair `*.cert` and `*.key` as
 * our own.
 */
export function certificatesFor(
  host: string,
  directories: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): HostCertificates {
  const trusted = [...systemAuthorities(environment), ...extraAuthorities(environment)];
  for (const directory of directories) {
    const own = join(directory, host);
    const names = list(own);
    if (names === undefined) continue;
    const read = (name: string) => readCertificate(join(own, name));
    const ca = [...trusted, ...names.filter((name) => name.endsWith('.crt')).map(read)];
    const cert = names.find((name) => name.endsWith('.cert') && names.includes(name.replace(/cert$/, 'key')));
    return cert === undefined ? { ca } : { ca, cert: read(cert), key: read(cert.replace(/cert$/, 'key')) };
  }
  return { ca: trusted };
}

function list(directory: string): readonly string[] | undefined {
  try {
    return readdirSync(directory).sort();
  } catch {
    return undefined;
  }
}

function systemAuthorities(environment: Readonly<Record<string, string | undefined>>): string[] {
  const named = environment['SSL_CERT_FILE'];
  if (named) return [readCertificate(named)];
  for (const path of systemFiles) {
    try {
      return [readFileSync(path, 'utf8')];
    } catch {
      // Another distribution's.
    }
  }
  return [...rootCertificates];
}

/** Those that Node adds for every program. Like Node, we go on without a file that is not there. */
function extraAuthorities({ NODE_EXTRA_CA_CERTS: named }: Readonly<Record<string, string | undefined>>): string[] {
  return named && isReadable(named) ? [readCertificate(named)] : [];
}

function isReadable(path: string): boolean {
  try {
    accessSync(path, constants.R_OK);
    return true;
  } catch {
    return false;
  }
}

function readCertificate(path: string): string {
  try {
    const { size } = statSync(path);
    if (size > fileBytesMax) throw new Error(`it has ${size} bytes`);
    return readFileSync(path, 'utf8');
  } catch (cause) {
    const why = (cause as Error).message;
    throw new RuntsError('ERR_SETUP', `cannot read the certificate ${path}: ${why}`, { cause });
  }
}
