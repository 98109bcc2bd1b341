import { attributes, type Change, followedBy, type PropagationWord, propagations, unchanged } from './attributes.ts';

/** What the option words of a mount come to. */
export interface MountOptions {
  /** A clone of a mount that exists, and whether with what is mounted below it. */
  readonly bind: 'none' | 'single' | 'recursive';
  readonly attributes: Change;
  /** Whether any word was about attributes of the mount alone, even one that changes nothing. */
  readonly flagged: boolean;
  /** The same for everything mounted below, too: `rro` and its like. */
  readonly recursive: Change;
  readonly propagation: { readonly flags: number; readonly recursive: boolean } | undefined;
  /** Owners through the container's user namespace, or through the maps that `idmap=…` has. */
  readonly idmap: 'none' | 'single' | 'recursive';
  readonly idmapText: string | undefined;
  /** Changes a mount that is there. */
  readonly remount: boolean;
  /** A new tmpfs begins with what the image has there. */
  readonly copyUp: boolean;
  /** A source that is a symbolic link is made again in the container. */
  readonly copySymlink: boolean;
  /** What the superblock is told by words of mount(8): a bind has no say in it. */
  readonly superblock: readonly string[];
  /** What the file system is told. */
  readonly data: readonly string[];
  /** Words that ask for something which cannot be had. */
  readonly refused: readonly string[];
}

const set = (bit: number): Change => ({ set: bit, clear: 0 });
const clear = (bit: number): Change => ({ set: 0, clear: bit });
/** The atime field is set whole. */
const atime = (value: number): Change => ({ set: value, clear: attributes.atime });

/** Words for attributes; each has a recursive sister with an `r` before it. */
const attributeWords: Readonly<Record<string, Change>> = {
  ro: set(attributes.readonly),
  rw: clear(attributes.readonly),
  nosuid: set(attributes.nosuid),
  suid: clear(attributes.nosuid),
  nodev: set(attributes.nodev),
  dev: clear(attributes.nodev),
  noexec: set(attributes.noexec),
  exec: clear(attributes.noexec),
  nosymfollow: set(attributes.nosymfollow),
  symfollow: clear(attributes.nosymfollow),
  nodiratime: set(attributes.nodiratime),
  diratime: clear(attributes.nodiratime),
  noatime: atime(attributes.noatime),
  strictatime: atime(attributes.strictatime),
  relatime: atime(0),
};
/**
 * Words that take back another one. As with mount(8), by themselves they change nothing about a mount that is there; their
 * recursive sisters do what the kernel does when neither of the other two is asked for.
 */
const withoutAtime: Readonly<Record<string, number>> = {
  atime: attributes.noatime,
  nostrictatime: attributes.strictatime,
  norelatime: 0,
};

/** Forgets about a value of the atime field. */
function takeBack({ set, clear }: Change, value: number): Change {
  const asked = (clear & attributes.atime) !== 0 && (set & attributes.atime) === value;
  return asked ? { set: set & ~attributes.atime, clear: clear & ~attributes.atime } : { set, clear };
}

/** Words about the file system itself (its superblock), as fsconfig(2) knows them, and those that take them back. */
const superblockWords: Readonly<Record<string, string>> = {
  sync: 'async',
  dirsync: 'nodirsync',
  mand: 'nomand',
  lazytime: 'nolazytime',
};
/**
 * Nothing to do: a placeholder; kernel messages that fsopen(2) does not print; and versions of inodes, which a file
 * system that can count them has counted unasked since Linux 6.0.
 */
const idleWords = ['defaults', 'silent', 'loud', 'iversion', 'noiversion'];
/** crun's words for mounting a symbolic link itself, or over one: no op does. */
const refusedWords = ['src-nofollow', 'dest-nofollow'];

type Mutable = {
  -readonly [K in keyof MountOptions]: MountOptions[K] extends readonly string[] ? string[] : MountOptions[K];
};
type Word = (options: Mutable) => void;

/** Every option word that is not left to the file system, and what it does. */
const words: ReadonlyMap<string, Word> = new Map(wordRows());

function* wordRows(): Generator<[string, Word]> {
  for (const [word, change] of Object.entries(attributeWords)) {
    yield [word, (o) => Object.assign(o, { attributes: followedBy(o.attributes, change), flagged: true })];
    yield [`r${word}`, (o) => (o.recursive = followedBy(o.recursive, change))];
  }
  for (const [word, value] of Object.entries(withoutAtime)) {
    yield [word, (o) => Object.assign(o, { attributes: takeBack(o.attributes, value), flagged: true })];
    yield [`r${word}`, (o) => (o.recursive = followedBy(o.recursive, atime(0)))];
  }
  for (const word of Object.keys(propagations) as PropagationWord[]) {
    yield [word, (o) => (o.propagation = { flags: propagations[word], recursive: false })];
    yield [`r${word}`, (o) => (o.propagation = { flags: propagations[word], recursive: true })];
  }
  yield ['bind', (o) => (o.bind = 'single')];
  yield ['rbind', (o) => (o.bind = 'recursive')];
  yield ['idmap', (o) => (o.idmap = 'single')];
  yield ['ridmap', (o) => (o.idmap = 'recursive')];
  yield ['remount', (o) => (o.remount = true)];
  yield ['tmpcopyup', (o) => (o.copyUp = true)];
  yield ['copy-symlink', (o) => (o.copySymlink = true)];
  for (const word of Object.keys(superblockWords)) {
    const without = (o: Mutable) => o.superblock.filter((other) => other !== word);
    yield [word, (o) => (o.superblock = [...without(o), word])];
    yield [superblockWords[word]!, (o) => (o.superblock = without(o))];
  }
  for (const word of idleWords) yield [word, () => {}];
  for (const word of refusedWords) yield [word, (o) => o.refused.push(word)];
}

/** The option words of mount(8) that the runtime specification lists; every other word goes to the file system. */
export const optionWords: readonly string[] = [...words.keys()].filter((word) => !refusedWords.includes(word));

/** `idmap=uids=…;gids=…`, and the same for everything below. */
const idmapWithMaps = /^(r?)idmap=(.*)$/s;

/** Reads the option words of a mount in their order: of words about the same thing, the last one counts. */
export function mountOptions(list: readonly string[]): MountOptions {
  const options: Mutable = {
    bind: 'none',
    attributes: unchanged,
    flagged: false,
    recursive: unchanged,
    propagation: undefined,
    idmap: 'none',
    idmapText: undefined,
    remount: false,
    copyUp: false,
    copySymlink: false,
    superblock: [],
    data: [],
    refused: [],
  };
  for (const option of list) {
    const word = words.get(option);
    const maps = word === undefined && option.includes('idmap=') ? idmapWithMaps.exec(option) : null;
    if (word !== undefined) word(options);
    else if (maps !== null)
      Object.assign(options, { idmap: maps[1] === 'r' ? 'recursive' : 'single', idmapText: maps[2] });
    else options.data.push(option);
  }
  return options;
}
