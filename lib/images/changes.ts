import { type Issue, specError } from '../errors.ts';
import type { JsonObject } from './json.ts';

/** What `--change` changes: the `config` of an image, by the instructions of a Dockerfile that need no container. */
export function applyChanges(config: JsonObject, changes: readonly string[]): JsonObject {
  const issues: Issue[] = [];
  let changed = config;
  for (const change of changes) {
    const [, name = '', rest = ''] = /^\s*(\S+)\s*([\s\S]*?)\s*$/.exec(change) ?? [];
    const instruction = Object.hasOwn(instructions, name.toUpperCase()) ? instructions[name.toUpperCase()] : undefined;
    try {
      if (instruction === undefined) throw new Wrong(`it is none of ${Object.keys(instructions).join(', ')}`);
      if (rest === '') throw new Wrong('it has no argument');
      changed = { ...changed, ...instruction(rest, changed) };
    } catch (error) {
      if (!(error instanceof Wrong)) throw error;
      issues.push({ path: change, message: error.message });
    }
  }
  if (issues.length > 0) throw specError('cannot change the image', issues);
  return changed;
}

class Wrong extends Error {}

type Instruction = (rest: string, config: JsonObject) => JsonObject;

const instructions: Readonly<Record<string, Instruction>> = {
  CMD: (rest) => ({ Cmd: command(rest) }),
  // An image's Cmd are arguments of its Entrypoint: those of another are not meant.
  ENTRYPOINT: (rest) => ({ Entrypoint: command(rest), Cmd: undefined }),
  ENV: (rest, config) => ({ Env: withVariables(texts(config['Env']), pairs(rest)) }),
  EXPOSE: (rest, config) => ({
    ExposedPorts: { ...record(config['ExposedPorts']), ...emptyObjects(words(rest).flatMap(ports)) },
  }),
  LABEL: (rest, config) => ({ Labels: { ...record(config['Labels']), ...Object.fromEntries(pairs(rest)) } }),
  USER: (rest) => ({ User: oneWord(rest) }),
  VOLUME: (rest, config) => ({
    Volumes: { ...record(config['Volumes']), ...emptyObjects(jsonWords(rest) ?? words(rest)) },
  }),
  WORKDIR: (rest, config) => ({ WorkingDir: below(config['WorkingDir'], words(rest).join(' ')) }),
  STOPSIGNAL: (rest) => ({ StopSignal: signal(oneWord(rest)) }),
  HEALTHCHECK: (rest) => ({ Healthcheck: healthcheck(rest) }),
  ONBUILD: (rest, config) => ({ OnBuild: [...texts(config['OnBuild']), onBuild(rest)] }),
};

const texts = (value: unknown): readonly string[] =>
  Array.isArray(value) ? value.filter((v) => typeof v === 'string') : [];
const record = (value: unknown): object => (typeof value === 'object' && value !== null ? value : {});
const emptyObjects = (keys: readonly string[]): object => Object.fromEntries(keys.map((key) => [key, {}]));

// ---- words -----------------------------------------------------------------------------------------------------------

/** A list in JSON, `["a", "b"]`; undefined where it is none, and then it is text. */
function jsonWords(text: string): readonly string[] | undefined {
  if (!text.startsWith('[')) return undefined;
  try {
    const list: unknown = JSON.parse(text);
    return Array.isArray(list) && list.every((item) => typeof item === 'string') ? list : undefined;
  } catch {
    return undefined;
  }
}

/** Exactly as it stands in JSON, or else for a shell. */
const command = (text: string): readonly string[] => jsonWords(text) ?? ['/bin/sh', '-c', text];

/** Words as a Dockerfile has them: between blanks, with quotes that are taken off and a backslash that protects. */
function words(text: string): string[] {
  const found = text.match(/(?:[^\s"'\\]|\\[\s\S]|"(?:[^"\\]|\\[\s\S])*"|'[^']*')+|["'][\s\S]*/g) ?? [];
  return found.map((word) => {
    if (/^["']/.test(word) && !/^(?:"(?:[^"\\]|\\[\s\S])*"|'[^']*')/.test(word))
      throw new Wrong('a quote is not closed');
    return word.replace(/"((?:[^"\\]|\\[\s\S])*)"|'([^']*)'|\\([\s\S])/g, (_, double, single, escaped) =>
      double !== undefined ? double.replace(/\\(["\\$])/g, '$1') : (single ?? escaped),
    );
  });
}

function oneWord(text: string): string {
  const [word, ...more] = words(text);
  if (word === undefined || more.length > 0) throw new Wrong('it takes one argument');
  return word;
}

/** `A=1 B="two words"`, or the old form `A the rest`. */
function pairs(text: string): [string, string][] {
  const [first = ''] = text.split(/\s/, 1);
  if (!first.includes('=')) {
    const rest = text.slice(first.length).trim();
    if (rest === '') throw new Wrong('it takes NAME=VALUE');
    return [[first, rest]];
  }
  return words(text).map((word) => {
    const at = word.indexOf('=');
    if (at < 1) throw new Wrong(`${JSON.stringify(word)} is not NAME=VALUE`);
    return [word.slice(0, at), word.slice(at + 1)];
  });
}

function withVariables(env: readonly string[], variables: readonly [string, string][]): readonly string[] {
  let result = env;
  for (const [name, value] of variables) {
    const line = `${name}=${value}`;
    const isHere = result.some((each) => each.startsWith(`${name}=`));
    result = isHere ? result.map((each) => (each.startsWith(`${name}=`) ? line : each)) : [...result, line];
  }
  return result;
}

// ---- values ----------------------------------------------------------------------------------------------------------

const portMax = 65535;

/** `80`, `80/udp`, `8000-8010/tcp`. */
function ports(text: string): string[] {
  const [, first, last = first, protocol = 'tcp'] = /^(\d{1,5})(?:-(\d{1,5}))?(?:\/(tcp|udp|sctp))?$/i.exec(text) ?? [];
  const [from, to] = [Number(first), Number(last)];
  if (first === undefined || from < 1 || to > portMax || from > to) {
    throw new Wrong(`${JSON.stringify(text)} is no port; it is as in 80, 53/udp or 8000-8010`);
  }
  return Array.from({ length: to - from + 1 }, (_, i) => `${from + i}/${protocol.toLowerCase()}`);
}

function signal(text: string): string {
  if (/^(?:SIG)?[A-Z][A-Z0-9+-]*$/i.test(text) || /^\d{1,2}$/.test(text)) return text;
  throw new Wrong(`${JSON.stringify(text)} is no signal`);
}

/** A relative one is below the one before, as in a Dockerfile. */
function below(before: unknown, path: string): string {
  const base = typeof before === 'string' && before.startsWith('/') ? before : '/';
  const components: string[] = [];
  for (const component of (path.startsWith('/') ? path : `${base}/${path}`).split('/')) {
    if (component === '..') components.pop();
    else if (component !== '' && component !== '.') components.push(component);
  }
  return `/${components.join('/')}`;
}

function onBuild(text: string): string {
  const [first = ''] = text.split(/\s/, 1);
  if (['ONBUILD', 'FROM', 'MAINTAINER'].includes(first.toUpperCase()))
    throw new Wrong(`ONBUILD ${first} is not allowed`);
  return text;
}

const durations: Readonly<Record<string, string>> = {
  interval: 'Interval',
  timeout: 'Timeout',
  'start-period': 'StartPeriod',
  'start-interval': 'StartInterval',
};
const nanoseconds: Readonly<Record<string, number>> = { ns: 1, us: 1e3, µs: 1e3, ms: 1e6, s: 1e9, m: 6e10, h: 3.6e12 };

/** `NONE`, or options and then `CMD` and what is run. */
function healthcheck(text: string): JsonObject {
  const options: Record<string, unknown> = {};
  let rest = text;
  for (let match = /^--([a-z-]+)=(\S+)\s+/.exec(rest); match !== null; match = /^--([a-z-]+)=(\S+)\s+/.exec(rest)) {
    const [whole, name = '', value = ''] = match;
    if (name === 'retries' && /^\d{1,9}$/.test(value)) options['Retries'] = Number(value);
    else if (Object.hasOwn(durations, name)) options[durations[name]!] = duration(value);
    else throw new Wrong(`--${name}=${value} is no option of a health check`);
    rest = rest.slice(whole.length);
  }
  if (/^none$/i.test(rest)) return { Test: ['NONE'] };
  const [, run = ''] = /^cmd\s+([\s\S]+)$/i.exec(rest) ?? [];
  if (run === '') throw new Wrong('a health check is NONE, or CMD and a command');
  const list = jsonWords(run);
  return { Test: list === undefined ? ['CMD-SHELL', run] : ['CMD', ...list], ...options };
}

function duration(text: string): number {
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/g)];
  if (parts.length === 0 || parts.map(([part]) => part).join('') !== text) {
    throw new Wrong(`${JSON.stringify(text)} is no time; it is as in 30s or 1m30s`);
  }
  return Math.round(parts.reduce((sum, [, number, unit]) => sum + Number(number) * nanoseconds[unit!]!, 0));
}
