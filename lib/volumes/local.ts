import { type Issue, RuntsError, specError } from '../errors.ts';
import { parseBytes } from '../spec/bytes.ts';
import { nearest } from '../spec/nearest.ts';

export const localDriver = 'local';

/** Where the files of a volume of the local driver are. */
export type LocalSource =
  /** In the store. */
  | { readonly kind: 'directory' }
  /** A directory of the host. */
  | { readonly kind: 'bind'; readonly device: string; readonly words: readonly string[] }
  /** In memory, for as long as a container has it. */
  | { readonly kind: 'tmpfs'; readonly words: readonly string[] };

const names = ['type', 'o', 'device', 'size'];

/** What of `o` a bind may have; `addr` and its like belong to file systems of a network. */
const bindWords: ReadonlySet<string> = new Set(['ro', 'rw', 'nosuid', 'nodev', 'noexec', 'noatime', 'idmap', 'ridmap']);
const tmpfsWords: ReadonlySet<string> = new Set([
  'ro',
  'rw',
  'nosuid',
  'nodev',
  'noexec',
  'suid',
  'dev',
  'exec',
  'noatime',
]);

/** Reads the options of docker's local driver: `type`, `o`, `device`. Everything that is wrong is told. */
export function localSource(options: Readonly<Record<string, string>>): LocalSource {
  const issues: Issue[] = [];
  const wrong = (path: string, message: string): void => void issues.push({ path: `/options/${path}`, message });
  for (const name of Object.keys(options)) {
    if (names.includes(name)) continue;
    const close = nearest(name, names);
    wrong(name, `the local driver has no such option${close === undefined ? '' : `; did you mean ${close}?`}`);
  }
  const { type, o = '', device, size } = options;
  if (size !== undefined && parseBytes(bytesOf(size)) === undefined) wrong('size', `must be a size, not "${size}"`);
  const words = o.split(',').filter((word) => word !== '');
  const isBind = words.includes('bind') || words.includes('rbind');
  let source: LocalSource = { kind: 'directory' };
  if (type === 'tmpfs') source = tmpfs(words, wrong);
  else if (isBind && (type === undefined || type === 'none' || type === 'bind')) source = bind(words, device, wrong);
  else if (type === undefined && device === undefined && words.length === 0) source = { kind: 'directory' };
  else if (type === undefined || type === '') wrong('type', 'is missing: "tmpfs", or "none" with o=bind');
  else if (type === 'none') wrong('o', 'must have "bind" where the type is "none"');
  else if (issues.length === 0) throw noSuchType(type);
  if (issues.length > 0) throw specError('cannot make a volume of these options', issues);
  if (size !== undefined && source.kind === 'tmpfs')
    return { ...source, words: [...source.words, `size=${bytesOf(size)}`] };
  if (size !== undefined) throw noQuota();
  return source;
}

const bytesOf = (text: string): string | number =>
  /^[0-9]+$/.test(text) ? Number(text) : text.toLowerCase().replace(/(?<=[kmgt])i?b$/, '');

function tmpfs(words: readonly string[], wrong: (path: string, message: string) => void): LocalSource {
  for (const word of words) {
    const [key = '', value] = word.split('=');
    if (tmpfsWords.has(word)) continue;
    if (key === 'size' && value !== undefined && /^[0-9]+[kmgt%]?$/i.test(value)) continue;
    if (['uid', 'gid', 'nr_inodes'].includes(key) && value !== undefined && /^[0-9]+[kmg]?$/i.test(value)) continue;
    if (key === 'mode' && value !== undefined && /^[0-7]{3,4}$/.test(value)) continue;
    wrong('o', `a tmpfs has no option "${word}"`);
  }
  return { kind: 'tmpfs', words: ['nosuid', 'nodev', ...words] };
}

function bind(
  words: readonly string[],
  device: string | undefined,
  wrong: (path: string, message: string) => void,
): LocalSource {
  const rest = words.filter((word) => word !== 'bind' && word !== 'rbind');
  for (const word of rest) if (!bindWords.has(word)) wrong('o', `a bind has no option "${word}"`);
  if (device === undefined || !device.startsWith('/')) {
    wrong('device', `must be the absolute path of a directory, not ${JSON.stringify(device ?? '')}`);
  }
  return { kind: 'bind', device: device ?? '', words: rest };
}

const noSuchType = (type: string) =>
  new RuntsError(
    'ERR_UNSUPPORTED',
    `cannot make a volume: the local driver does not mount the type ${JSON.stringify(type)}`,
    {
      origin: '/options/type',
      hint: 'Mount it on the host, and make the volume with type=none, o=bind, device=DIRECTORY; or use a volume plugin.',
    },
  );

/** A quota for a directory takes a project quota, which the file system must have been mounted with. */
const noQuota = () =>
  new RuntsError('ERR_UNSUPPORTED', 'cannot limit the size of a volume: nothing here sets quotas for directories', {
    origin: '/options/size',
    hint: 'A volume in memory has a size (type=tmpfs, o=size=64m), and so has a file system of its own that is mounted on the host and given by type=none, o=bind, device=DIRECTORY.',
  });
