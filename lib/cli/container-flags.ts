import { type Issue, specError } from '../errors.ts';
import type { Host } from '../host/host.ts';
import type { ContainerOptions } from '../spec/options.ts';
import type { Flags, Parsed } from './parse.ts';

/** The options of `runts run` and `runts plan`: docker run's words where docker has the option, runc's for a bundle. */
export const containerFlags: Flags = {
  host: { names: ['--host'], doc: "this machine's /usr and its companions as root file system, privately" },
  rootfs: { names: ['--rootfs'], value: 'DIR', doc: 'a directory as root file system' },
  image: {
    names: ['--image'],
    value: 'IMAGE',
    doc: 'an image by its name, debian:12, or ./FILE: docker save, an OCI archive, or an OCI layout directory',
  },
  pull: {
    names: ['--pull'],
    value: 'missing|always|never',
    doc: 'when the image is brought from its registry (missing: when it is not here)',
  },
  bundle: { names: ['--bundle', '-b'], value: 'DIR', doc: 'an OCI bundle: config.json and a root file system' },
  interactive: { names: ['--interactive', '-i'], doc: 'keep standard input open (it always is)' },
  tty: { names: ['--tty', '-t'], doc: 'a terminal for the command' },
  env: { names: ['--env', '-e'], value: 'NAME=VALUE', repeat: true, doc: 'set a variable' },
  cwd: { names: ['--workdir', '-w'], value: 'DIR', doc: 'working directory of the command' },
  user: { names: ['--user', '-u'], value: 'USER[:GROUP]', doc: 'user of the command, by name or number' },
  hostname: { names: ['--hostname'], value: 'NAME', doc: 'host name inside' },
  name: { names: ['--name'], value: 'NAME', doc: 'name of the container' },
  entrypoint: { names: ['--entrypoint'], value: 'FILE', doc: "instead of the image's entrypoint" },
  volumes: {
    names: ['--volume', '-v'],
    value: '[SRC:]DST[:ro,nocopy]',
    repeat: true,
    doc: 'a path of the host, or a volume by its name',
  },
  tmpfs: { names: ['--tmpfs'], value: 'DST[:size=BYTES]', repeat: true, doc: 'an empty file system in memory' },
  memory: { names: ['--memory', '-m'], value: 'BYTES', doc: 'memory limit: 512m' },
  cpus: { names: ['--cpus'], value: 'N', doc: 'how many processors worth of time' },
  pids: { names: ['--pids-limit'], value: 'N', doc: 'how many processes' },
  capAdd: { names: ['--cap-add'], value: 'CAP', repeat: true, doc: 'add a capability' },
  capDrop: { names: ['--cap-drop'], value: 'CAP', repeat: true, doc: 'drop a capability, or ALL' },
  readonly: { names: ['--read-only'], doc: 'no writing to the root file system' },
  network: {
    names: ['--network'],
    value: 'none|host',
    doc: 'own network with only lo (default), or the one of the host',
  },
  seccomp: { names: ['--seccomp'], value: 'default|unconfined', doc: 'the system call filter' },
  systemView: {
    names: ['--system-view'],
    value: 'host|limits',
    choices: ['host', 'limits'],
    doc: "what /proc/meminfo, cpuinfo and their like say: what the machine has (default), or the container's limits",
  },
  rm: {
    names: ['--rm'],
    always: 'the container goes when its command has ended; one that stays is made of a bundle: create and start',
    doc: 'remove the container when its command has ended (it always is)',
  },
  noInit: { names: ['--no-init'], doc: 'the command itself is process 1' },
};

/** An id as docker makes them: 64 hexadecimal digits. */
export function newId({ random }: Pick<Host, 'random'>): string {
  return Array.from(random(32), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** The options of a container, in the words of createContainer, from those of a command line. Not checked yet. */
export function containerOptions(parsed: Parsed, terminal: { columns: number; rows: number }): ContainerOptions {
  const { given, rest } = parsed;
  const issues: Issue[] = [];
  const options: Record<string, unknown> = {};
  const set = (name: string, value: unknown): void => {
    if (value !== undefined) options[name] = value;
  };
  for (const name of [
    'rootfs',
    'image',
    'pull',
    'bundle',
    'cwd',
    'user',
    'hostname',
    'name',
    'network',
    'seccomp',
    'systemView',
    'readonly',
    'host',
  ]) {
    set(name, given[name]);
  }
  if (given['tty'] === true) options['tty'] = terminal;
  if (given['noInit'] === true) options['init'] = false;
  if (typeof given['entrypoint'] === 'string') options['entrypoint'] = [given['entrypoint']];
  set('env', environment(list(given['env']), issues));
  set('mounts', mounts(list(given['volumes']), list(given['tmpfs']), issues));
  set('limits', limits(given, issues));
  const add = list(given['capAdd']).map(capability);
  const drop = list(given['capDrop']).map(capability);
  if (add.length + drop.length > 0) options['capabilities'] = { add, drop };
  // As runc has it, the word after a bundle is the container's name; everything else has a command there.
  if (given['bundle'] === undefined) {
    if (rest.length > 0) options['command'] = rest;
  } else {
    if (rest.length > 1) issues.push({ path: '', message: `one ID follows a bundle, got ${rest.join(' ')}` });
    set('name', rest[0]);
  }
  if (issues.length > 0) throw specError('cannot make a container of this command line', issues);
  return options as unknown as ContainerOptions;
}

const list = (value: Parsed['given'][string] | undefined): readonly string[] =>
  typeof value === 'object' ? value : [];

const capability = (name: string): string => {
  const upper = name.toUpperCase();
  return upper === 'ALL' || upper.startsWith('CAP_') ? upper : `CAP_${upper}`;
};

function environment(pairs: readonly string[], issues: Issue[]): Record<string, string> | undefined {
  if (pairs.length === 0) return undefined;
  // Object.fromEntries defines: a variable named __proto__ is a variable like any other.
  return Object.fromEntries(
    pairs.map((pair) => {
      const equals = pair.indexOf('=');
      if (equals <= 0) issues.push({ path: '--env', message: `wants NAME=VALUE, got ${JSON.stringify(pair)}` });
      return [pair.slice(0, equals), pair.slice(equals + 1)];
    }),
  );
}

function mounts(volumes: readonly string[], tmpfs: readonly string[], issues: Issue[]): unknown[] | undefined {
  const binds = volumes.map((text) => volume(text, issues));
  const memory = tmpfs.map((text) => {
    const match = /^([^:]+)(?::size=([0-9]+[kmgt]?))?$/.exec(text);
    if (match === null) {
      issues.push({ path: '--tmpfs', message: `wants DST or DST:size=64m, got ${JSON.stringify(text)}` });
    }
    return { type: 'tmpfs', target: match?.[1], ...(match?.[2] && { size: match[2] }) };
  });
  return binds.length + memory.length > 0 ? [...binds, ...memory] : undefined;
}

/** A source is a path where it has a slash or begins with a dot; else it is the name of a volume, and without one it is a new one. */
function volume(text: string, issues: Issue[]): Record<string, unknown> {
  const words = text.split(':');
  const [source, target, modes = ''] = words.length === 1 ? ['', ...words] : words;
  const isBind = /[/]|^[.]/.test(source ?? '');
  const asked = modes === '' ? [] : modes.split(',');
  const known = isBind ? ['ro', 'rw'] : ['ro', 'rw', 'nocopy'];
  const isWrong = (words.length > 1 && !source) || !target || words.length > 3 || (words.length === 3 && modes === '');
  if (isWrong || asked.some((mode) => !known.includes(mode)) || (asked.includes('ro') && asked.includes('rw'))) {
    const ways = isBind ? 'SRC:DST or SRC:DST:ro' : 'DST, NAME:DST or NAME:DST:ro,nocopy';
    issues.push({ path: '--volume', message: `wants ${ways}, got ${JSON.stringify(text)}` });
  }
  const mount = { target, readonly: asked.includes('ro') };
  if (isBind) return { type: 'bind', source, ...mount };
  return { type: 'volume', ...(source !== '' && { source }), ...mount, copy: !asked.includes('nocopy') };
}

function limits(given: Parsed['given'], issues: Issue[]): Record<string, unknown> | undefined {
  const number = (name: string, flag: string): number | undefined => {
    const text = given[name];
    if (text === undefined) return undefined;
    if (typeof text !== 'string' || !/^[0-9]+(\.[0-9]+)?$/.test(text)) {
      issues.push({ path: flag, message: `wants a number, got ${JSON.stringify(text)}` });
    }
    return Number(text);
  };
  const cpus = number('cpus', '--cpus');
  const pids = number('pids', '--pids-limit');
  const memory = given['memory'];
  if (memory === undefined && cpus === undefined && pids === undefined) return undefined;
  return {
    ...(memory !== undefined && { memory: /^[0-9]+$/.test(String(memory)) ? Number(memory) : memory }),
    ...(cpus !== undefined && { cpus }),
    ...(pids !== undefined && { pids }),
  };
}
