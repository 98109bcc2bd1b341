import { RuntsError } from '../errors.ts';
import { isProgram } from './host.ts';
import { type Stat, stat, system, variable } from './system.ts';

/** Set for whoever we hand over to, so that two of us cannot hand over to one another. */
const mark = 'RUNTS_HANDED_OVER';

/** Everything about images, registries and the volumes that are stored. */
const verbsOfNode = [
  'pull',
  'push',
  'images',
  'image',
  'history',
  'tag',
  'rmi',
  'load',
  'save',
  'import',
  'commit',
  'export',
  'diff',
  'volume',
  'login',
  'logout',
];

/** Whether what was asked is for the runts of Node: then it is asked before anything is done here. */
export function isForNode(words: readonly string[]): boolean {
  const verb = words.find((word) => !word.startsWith('-')) ?? '';
  const own = words.includes('--') ? words.slice(0, words.indexOf('--')) : words;
  const line = own.join(' ');
  const image = /(^| )--image[= ]/.test(line);
  // What is not a path of the host, and one in it, is a volume that has a name or gets one.
  const volume = /(^| )(-v|--volume)[= ](?![/.~]\S*:)/.test(line);
  return verbsOfNode.includes(verb) || (['run', 'plan'].includes(verb) && (image || volume));
}

export function needsNode(what: string): RuntsError {
  return new RuntsError('ERR_UNSUPPORTED', `${what} needs the runts of Node, and none is on PATH`, {
    hint: 'Install Node.js 20 or newer, and runts for it: npm install --global runts',
  });
}

/** Puts the runts of Node in our place. It comes back by throwing only. */
export function handOver(what: string): never {
  const [name = 'runts', ...words] = system.argv;
  const file = variable(mark) === undefined && onPath('node') !== undefined ? onPath('runts') : undefined;
  if (file !== undefined) system.become(file, [name, ...words], mark);
  throw needsNode(what);
}

/** The first program of that name on PATH that we are not ourselves. */
function onPath(name: string): string | undefined {
  const paths = (variable('PATH') ?? '').split(':').filter((directory) => directory.startsWith('/'));
  const self = stat('/proc/self/exe');
  return paths.map((directory) => `${directory}/${name}`).find((path) => isProgram(path) && !same(stat(path), self));
}

const same = (a: Stat | number, b: Stat | number): boolean =>
  typeof a !== 'number' && typeof b !== 'number' && a.inode === b.inode;
