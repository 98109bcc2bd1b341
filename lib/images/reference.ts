import { RuntsError } from '../errors.ts';

/** A name of an image, in full: nothing in it is left to defaults. At least one of `tag` and `digest` is there. */
export interface Reference {
  /** The registry: `docker.io`, `localhost:5000`. */
  readonly domain: string;
  /** The repository: `library/debian`. */
  readonly path: string;
  readonly tag: string | undefined;
  readonly digest: string | undefined;
}

export const defaultDomain = 'docker.io';
const defaultTag = 'latest';
const officialPrefix = 'library/';
/** Names that once were the default registry's. */
const formerDomain = 'index.docker.io';

const pathMax = 255;
const referenceMax = 4096;

const label = '[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?';
const host = `(?:${label}(?:\\.${label})*|\\[[a-fA-F0-9:]+\\])`;
const domainPattern = `${host}(?::[0-9]+)?`;
const component = '[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*';
const pathPattern = `${component}(?:/${component})*`;
const tagPattern = '[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}';
const word = '[A-Za-z][A-Za-z0-9]*';
const digestPattern = `${word}(?:[-_+.]${word})*:[0-9a-fA-F]{32,}`;
const whole = new RegExp(`^(${domainPattern})/(${pathPattern})(?::(${tagPattern}))?(?:@(${digestPattern}))?$`);

/** Digits of the digests that Docker takes in a name. */
const digestDigits: Readonly<Record<string, number>> = { sha256: 64, sha384: 96, sha512: 128 };

/**
 * Reads a name as Docker does: `debian` is `docker.io/library/debian:latest`, and the part before the first slash is a
 * registry if it has a dot, a colon or a capital, or is `localhost`. ERR_SPEC for what is no name.
 */
export function parseReference(text: string): Reference {
  if (text.length > referenceMax) throw invalid(text, `it is longer than ${referenceMax} characters`);
  if (text === '') throw invalid(text, 'it is empty');
  if (/^[0-9a-f]{64}$/.test(text)) {
    const hint = 'An id names an image that is here; a registry knows names only, as in debian or debian@sha256:….';
    throw invalid(text, 'a repository cannot be named by 64 hexadecimal digits', hint);
  }
  const { domain, rest } = splitDomain(text);
  const match = whole.exec(`${domain}/${rest}`);
  if (match === null) throw explained(text, domain, rest);
  const [, , path = '', tag, digest] = match;
  if (path.length > pathMax)
    throw invalid(text, `its repository has ${path.length} characters; the limit is ${pathMax}`);
  if (digest !== undefined) checkReferenceDigest(text, digest);
  return { domain, path, tag: tag ?? (digest === undefined ? defaultTag : undefined), digest };
}

/** The whole name: `docker.io/library/debian:12`. */
export function showReference({ domain, path, tag, digest }: Reference): string {
  return `${domain}/${path}${suffix(tag, digest)}`;
}

/** The name as people write it: `debian:12`. */
export function familiarReference(reference: Reference): string {
  return `${familiarName(reference)}${suffix(reference.tag, reference.digest)}`;
}

/** The repository's name as people write it: `debian`, `localhost:5000/tools/make`. */
export function familiarName({ domain, path }: Pick<Reference, 'domain' | 'path'>): string {
  if (domain !== defaultDomain) return `${domain}/${path}`;
  const short = path.startsWith(officialPrefix) ? path.slice(officialPrefix.length) : path;
  return short.includes('/') ? path : short;
}

/** The same repository, by digest alone. */
export function withDigest({ domain, path }: Reference, digest: string): Reference {
  return { domain, path, tag: undefined, digest };
}

/** Reads the name of a registry as `login` takes it: `localhost:5000`, a URL of it, or nothing for the default one. */
export function parseDomain(text: string): string {
  const name = text.replace(/^https?:\/\//, '').replace(/\/(?:v[12]\/?)?$/, '');
  if (name === '' || name === formerDomain || name === defaultDomain) return defaultDomain;
  if (new RegExp(`^${domainPattern}$`).test(name)) return name;
  throw new RuntsError('ERR_SPEC', `${JSON.stringify(text)} is no name of a registry`, {
    hint: 'A registry is a host, with a port where it has one: localhost:5000.',
  });
}

function suffix(tag: string | undefined, digest: string | undefined): string {
  return `${tag === undefined ? '' : `:${tag}`}${digest === undefined ? '' : `@${digest}`}`;
}

function splitDomain(text: string): { readonly domain: string; readonly rest: string } {
  const slash = text.indexOf('/');
  const first = slash < 0 ? '' : text.slice(0, slash);
  const isDomain = first === 'localhost' || /[.:]/.test(first) || first.toLowerCase() !== first;
  const domain = !isDomain || first === formerDomain ? defaultDomain : first;
  const rest = isDomain ? text.slice(slash + 1) : text;
  return { domain, rest: domain === defaultDomain && !rest.includes('/') ? `${officialPrefix}${rest}` : rest };
}

function checkReferenceDigest(text: string, digest: string): void {
  const [algorithm = '', hex = ''] = digest.split(':');
  const digits = Object.hasOwn(digestDigits, algorithm) ? digestDigits[algorithm] : undefined;
  if (digits === undefined) throw invalid(text, `${algorithm} is no algorithm of digests; sha256 and sha512 are`);
  if (hex.length !== digits) throw invalid(text, `a digest by ${algorithm} has ${digits} digits, not ${hex.length}`);
  if (hex !== hex.toLowerCase()) throw invalid(text, 'the digits of its digest must be lower-case');
}

/** What is wrong with a name that is none: the first thing that a reader would see. */
function explained(text: string, domain: string, rest: string): RuntsError {
  const [beforeDigest = '', digest] = rest.split('@', 2);
  const colon = beforeDigest.indexOf(':');
  const path = colon < 0 ? beforeDigest : beforeDigest.slice(0, colon);
  const tag = colon < 0 ? undefined : beforeDigest.slice(colon + 1);
  if (path !== path.toLowerCase()) return invalid(text, `its repository (${path}) must be lower-case`);
  if (!new RegExp(`^${domainPattern}$`).test(domain)) return invalid(text, `${JSON.stringify(domain)} is no registry`);
  if (!new RegExp(`^${pathPattern}$`).test(path)) {
    const hint = 'A repository is words of a-z and 0-9, joined by ".", "_", "__" or "-", with "/" between.';
    return invalid(text, `${JSON.stringify(path)} is no repository`, hint);
  }
  if (tag !== undefined && !new RegExp(`^${tagPattern}$`).test(tag)) {
    const hint = 'A tag has 1 to 128 letters, digits, "_", "." and "-", and begins with none of the last two.';
    return invalid(text, `${JSON.stringify(tag)} is no tag`, hint);
  }
  return invalid(text, `${JSON.stringify(digest)} is no digest`, 'A digest is sha256: and 64 hexadecimal digits.');
}

function invalid(text: string, why: string, hint = 'A name is as in debian, debian:12 or localhost:5000/debian:12.') {
  const shown = JSON.stringify(text.length > 300 ? `${text.slice(0, 300)}…` : text);
  return new RuntsError('ERR_SPEC', `invalid reference format: ${shown}: ${why}`, { hint });
}

/** Whether an image is meant by its path: a name of an image never begins like that. */
export const isPath = (image: string): boolean => /^(\/|\.{1,2}(\/|$))/.test(image);
