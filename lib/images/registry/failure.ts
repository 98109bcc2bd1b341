import { RuntsError } from '../../errors.ts';
import type { Answer } from './exchange.ts';

/** A failure that may be none at the next try; `error` is what is thrown when there is none. */
export class Transient extends Error {
  readonly error: RuntsError;
  /** What the registry says that one should wait. */
  readonly retryAfterMs: number | undefined;

  constructor(error: RuntsError, retryAfterMs?: number) {
    super(error.message, { cause: error });
    this.error = error;
    this.retryAfterMs = retryAfterMs;
  }
}

/** One entry of the list of errors that a registry answers with. */
export interface RegistryMessage {
  readonly code: string;
  readonly message: string;
}

/** What a registry refused, with what it said: for whoever knows what the refusal means here. */
export class Refusal extends Error {
  readonly status: number;
  readonly codes: readonly string[];
  readonly error: RuntsError;

  constructor(status: number, codes: readonly string[], error: RuntsError) {
    super(error.message, { cause: error });
    this.status = status;
    this.codes = codes;
    this.error = error;
  }
}

const messageMax = 300;
const transientStatus: readonly number[] = [408, 425, 429, 500, 502, 503, 504];

/** What an answer that nobody wanted becomes; `body` is the beginning of what it says. */
export function refusal(asked: string, answer: Answer, body: Buffer, hasCredentials: boolean): Refusal | Transient {
  const messages = messagesOf(body);
  const host = answer.url.host;
  const said = messages.length === 0 ? plainText(answer, body) : messages.map(showMessage).join('; ');
  const status = `${answer.status} ${answer.reason}`.trim();
  const codes = messages.map(({ code }) => code);
  const error = new RuntsError('ERR_REGISTRY', `${asked}: ${host} answered ${status}${said && `: ${said}`}`, {
    hint: hintOf(answer.status, codes, host, hasCredentials),
  });
  if (transientStatus.includes(answer.status)) return new Transient(error, retryAfterMs(answer));
  return new Refusal(answer.status, codes, error);
}

/** What the registry says in its own words, as the distribution API and token servers have it. */
function messagesOf(body: Buffer): readonly RegistryMessage[] {
  let document: unknown;
  try {
    document = JSON.parse(body.toString());
  } catch {
    return [];
  }
  if (typeof document !== 'object' || document === null) return [];
  const { errors, details, error, error_description: description } = document as Record<string, unknown>;
  if (Array.isArray(errors)) return errors.slice(0, 5).map(messageOf);
  const text = [description, details, error].find((each) => typeof each === 'string');
  return text === undefined ? [] : [{ code: '', message: printable(text as string) }];
}

function messageOf(value: unknown): RegistryMessage {
  const { code, message } = (typeof value === 'object' && value !== null ? value : {}) as Record<string, unknown>;
  return { code: printable(code).slice(0, 60), message: printable(message) };
}

function showMessage({ code, message }: RegistryMessage): string {
  if (message === '' || code === '') return message || code;
  return `${message} (${code})`;
}

/** A short text that is no HTML is worth showing; a page is not. */
function plainText(answer: Answer, body: Buffer): string {
  if (isHtml(answer)) return 'a page for people, not an answer of a registry';
  return printable(body.subarray(0, messageMax).toString());
}

export function isHtml(answer: Answer): boolean {
  return /^text\/html\b/.test(answer.headers['content-type'] ?? '');
}

/** What comes from outside must not steer the terminal that it is shown on. */
export function printable(value: unknown): string {
  if (typeof value !== 'string') return '';
  const text = value.replace(/[\p{Cc}\p{Cf}\s]+/gu, ' ').trim();
  return text.length > messageMax ? `${text.slice(0, messageMax)}…` : text;
}

function retryAfterMs(answer: Answer): number | undefined {
  const value = answer.headers['retry-after'];
  if (value === undefined) return undefined;
  const ms = /^\d{1,9}$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.now();
  return Number.isFinite(ms) ? Math.max(ms, 0) : undefined;
}

function hintOf(status: number, codes: readonly string[], host: string, hasCredentials: boolean): string | undefined {
  if (status === 401 || status === 403 || codes.includes('DENIED')) {
    return hasCredentials
      ? `The credentials for ${host} are wrong, or do not allow this: runts login ${host}`
      : `Log in, if you may do this: runts login ${host}. (Registries answer so too where there is no such repository.)`;
  }
  if (status === 404) return `Look at the name and the tag: ${host} has nothing of this name.`;
  if (status === 429 || codes.includes('TOOMANYREQUESTS')) {
    return 'The registry limits how often it is asked: wait, log in, or configure a mirror (docs/registries.md).';
  }
  return status >= 500 ? 'The registry is in trouble: try again later.' : undefined;
}

/** What a mirror or a proxy in between has altered, or a registry that lies: never worth another try as it is. */
export function wrongAnswer(asked: string, host: string, why: string, hint?: string): RuntsError {
  return new RuntsError('ERR_REGISTRY', `${asked}: ${host} answered ${why}`, {
    hint: hint ?? 'Is there a proxy or a mirror in between that alters what passes?',
  });
}

// ---- connections that fail -------------------------------------------------------------------------------------------

/** Worth another try, whoever is at the other end: the network's own weather. */
const weather = [
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'EAI_AGAIN',
  'ENETDOWN',
  'ERR_STREAM_PREMATURE_CLOSE',
];
/** Worth another try with somebody who has answered before. */
const absence = ['ECONNREFUSED', 'ENOTFOUND', 'EHOSTUNREACH', 'ENETUNREACH', 'EHOSTDOWN'];
const malformed = /^(?:HPE_|Z_)/;

/** A connection that could not be made, or broke. */
export function broken(asked: string, url: URL, cause: unknown, hasAnswered: boolean): RuntsError | Transient {
  const { code = '', message } = cause as NodeJS.ErrnoException;
  const error = new RuntsError('ERR_REGISTRY', `${asked}: ${url.host}: ${printable(message)}`, {
    cause,
    hint: connectionHint(code, url),
  });
  if (malformed.test(code)) return error;
  const isTransient = weather.includes(code) || (hasAnswered && absence.includes(code));
  return isTransient ? new Transient(error) : error;
}

/** Node's codes for a certificate that does not verify. */
const untrusted =
  /^(?:DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_|CERT_|ERR_TLS_CERT_ALTNAME_INVALID)/;

function connectionHint(code: string, url: URL): string | undefined {
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') return `The certificate is not for ${url.hostname}.`;
  if (code === 'CERT_HAS_EXPIRED') return 'The certificate has expired; the clock of this machine may be wrong, too.';
  if (untrusted.test(code)) {
    return `The certificate is by nobody whom this machine trusts: put its CA into certs.d/${url.host}/ca.crt (docs/registries.md).`;
  }
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN')
    return 'Look at the name of the registry, and whether this machine has a network.';
  if (code === 'ECONNREFUSED') return `Nothing listens at ${url.host}.`;
  if (malformed.test(code)) return `What answers at ${url.host} does not speak HTTP as a registry does.`;
  if (isNotTls(code)) {
    return `${url.host} does not speak TLS: if that is meant, configure it as insecure (docs/registries.md).`;
  }
  return undefined;
}

/** What a TLS client meets at a server of plain HTTP. */
export function isNotTls(code: string | undefined): boolean {
  return (
    code === 'EPROTO' ||
    /^ERR_SSL_(?:WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG|.*UNKNOWN_PROTOCOL|HTTP_REQUEST)/.test(code ?? '')
  );
}
