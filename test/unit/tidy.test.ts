import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { opNames } from '../../lib/program/ops.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const read = (path: string) => readFileSync(join(root, path), 'utf8');

/** Every file of the checkout that is ours, tracked or about to be. */
function filesOf(folder = '.'): string[] {
  const made = ['node_modules', 'build', 'dist', '.git', 'coverage'];
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = normalize(join(folder, entry.name));
    if (entry.isDirectory()) return made.includes(entry.name) ? [] : filesOf(path);
    return entry.isFile() ? [path] : [];
  });
}
const files = filesOf();
const lib = files.filter((path) => /^lib\/.*\.ts$/.test(path));

interface Import {
  readonly from: string;
  /** A path of the checkout, or a package. */
  readonly to: string;
  readonly typeOnly: boolean;
}

function importsOf(from: string): Import[] {
  const found = read(from).matchAll(
    /^(?:import|export)\s+(type\s)?(?:[^;'"]*?\sfrom\s+)?['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]/gm,
  );
  return [...found].map(([, type, fixed, dynamic]) => {
    const to = (fixed ?? dynamic) as string;
    const path = to.startsWith('.') ? normalize(join(dirname(from), to)) : to;
    return { from, to: path.replace(/^dist\/lib\/(.*)\.js$/, 'lib/$1.ts'), typeOnly: type !== undefined };
  });
}
const imports = lib.flatMap(importsOf);
const problems = (list: readonly (string | false | undefined)[]) => list.filter((each) => typeof each === 'string');

// ---- who may import whom (ARCHITECTURE.md has the same table) ------------------------------------------------------------

const leaf = ['errors', 'error-codes', 'spec', 'program'];
const policies = ['namespaces', 'cgroups', 'rootfs', 'process', 'seccomp'];
const mayImport: Readonly<Record<string, readonly string[]>> = {
  'error-codes': [],
  errors: ['error-codes'],
  spec: ['errors'],
  program: ['errors'],
  hints: ['program'],
  dbus: ['program'],
  ...Object.fromEntries(policies.map((name) => [name, leaf])),
  cgroups: [...leaf, 'dbus'],
  plan: [...leaf, ...policies],
  // seccomp: the default profile is a value that options stand for.
  host: [...leaf, 'hints', 'dbus', 'plan', 'seccomp'],
  cli: [...leaf, 'plan', 'host'],
  // ---- the line: everything above is ES2020 and private fields ----
  layers: [...leaf, 'hints', 'host'],
  images: [...leaf, 'host', 'node', 'layers'],
  volumes: [...leaf, 'plan', 'host', 'node', 'layers'],
  node: [...leaf, 'hints', 'host'],
  // The second host: of the first it shares what stands on the native part alone.
  tiny: [...leaf, 'hints', 'seccomp', 'plan', 'host', 'node', 'cli'],
  ephemeral: [...leaf, 'plan', 'host', 'node', 'images', 'volumes'],
  container: [...leaf, 'plan', 'host', 'node', 'layers', 'images'],
  runtime: [...leaf, 'plan', 'host', 'node', 'images', 'volumes', 'ephemeral', 'container'],
  unsafe: [...leaf, 'host', 'node'],
  vitest: ['index'],
  index: [...leaf, 'host', 'images', 'volumes', 'container', 'runtime'],
};
const core = [...leaf, 'hints', 'dbus', ...policies, 'plan', 'host', 'cli'];
/** Words that every layer speaks: types without code. */
const vocabulary = ['lib/plan/facts.ts', 'lib/plan/plan.ts', 'lib/dbus/types.ts'];
/** Puts the Node host, the image archives and the command line together; nothing imports it but bin/. */
const compositionRoot = 'lib/node/world.ts';
const layerOf = (path: string) => path.replace(/^lib\//, '').replace(/(\.ts|\/.*)$/, '');

test('layers import downwards only', () => {
  const wrong = imports.map(({ from, to, typeOnly }) => {
    const [layer, target] = [layerOf(from), layerOf(to)];
    if (!to.startsWith('lib/') || layer === target || from === compositionRoot) return undefined;
    if (mayImport[layer]?.includes(target) || (typeOnly && vocabulary.includes(to))) return undefined;
    return `${from} imports ${to}`;
  });
  expect(problems(wrong)).toEqual([]);
});

test('the core imports nothing of Node, and nothing that is not ours', () => {
  const foreign = imports.map(
    ({ from, to }) => core.includes(layerOf(from)) && !to.startsWith('lib/') && `${from}: ${to}`,
  );
  expect(problems(foreign)).toEqual([]);
});

test('packages that lib imports are dependencies', () => {
  const { dependencies, peerDependencies } = JSON.parse(read('package.json'));
  // Whoever imports runts/vitest has vitest.
  const brings = (from: string, to: string) =>
    to in dependencies || (from === 'lib/vitest.ts' && to in peerDependencies);
  const foreign = imports.map(({ from, to }) => !/^(lib\/|node:)/.test(to) && !brings(from, to) && `${from}: ${to}`);
  expect(problems(foreign)).toEqual([]);
});

/** Files that nothing in lib imports, and why they are there. */
const entries: Readonly<Record<string, string>> = {
  'lib/index.ts': 'the package',
  'lib/unsafe.ts': 'the package: runts/unsafe',
  'lib/vitest.ts': 'the package: runts/vitest',
  'lib/cli/main.ts': 'the command line (bin/runts.js)',
  'lib/node/world.ts': 'what the command line has of Node (bin/runts.js)',
  'lib/ephemeral/reap.ts': 'what outlives a program (bin/reap.js)',
  'lib/tiny/main.ts': 'the static binary (scripts/tiny.ts)',
  'lib/tiny/handle.ts': 'stands in the place of lib/node/handle.ts there',
  'lib/tiny/json.ts': 'stands in the place of lib/spec/json.ts there',
  'lib/tiny/kernel-text.ts': 'stands in the place of lib/spec/kernel-text.ts there',
  'lib/tiny/syscalls.ts': 'stands in the place of lib/seccomp/syscalls.ts there',
  'lib/tiny/bounded.ts': 'stands in the place of lib/host/bounded.ts there',
  'lib/program/decode.ts': 'reads a program back: tests hold the encoder against it',
};

test('every file of lib is imported by another, or is an entry', () => {
  const reached = new Set(imports.map(({ to }) => to));
  expect(lib.filter((path) => !reached.has(path) && !(path in entries))).toEqual([]);
});

// ---- words ---------------------------------------------------------------------------------------------------------------

interface Ban {
  readonly word: RegExp;
  readonly instead: string;
  readonly where: (path: string) => boolean;
}
const inCore = (path: string) => lib.includes(path) && core.includes(layerOf(path));
const isSource = (path: string) => /^(lib|native|bin|scripts)\//.test(path);
/** What the compiler lets pass: that the core has no timers, no Buffer and no console, tsconfig.core.json sees to. */
const bans: readonly Ban[] = [
  { word: /\bDate\.now\b|\bnew Date\(\)|\bMath\.random\b/, instead: 'the ports clock and random', where: inCore },
  { word: /\b(exec|execFile|spawn)Sync\b/, instead: 'something that does not block', where: (p) => lib.includes(p) },
  { word: /\bconsole\./, instead: 'an error, or an event: a library does not log', where: (p) => lib.includes(p) },
  { word: /\bTODO\b|\bFIXME\b/, instead: 'the work itself, or an issue', where: isSource },
  {
    // (`--cgroup-manager` is other runtimes' word, and the manager is what systemd calls itself.)
    word: /\b(?!([cC]group|with)?Manager\b)[A-Za-z]*(Manager|Helper|Utils?|Impl)(?![a-z])/,
    instead: 'the noun of the thing',
    where: isSource,
  },
];

/** Comments may speak of what code must not do. */
const withoutComments = (line: string) => line.replace(/(^|\s)\/\/.*$|^\s*\/?\*.*$/, '');

test('banned words are not used', () => {
  const found = files.flatMap((path) => {
    const here = bans.filter(({ where }) => where(path));
    if (here.length === 0) return [];
    return read(path)
      .split('\n')
      .flatMap((line, i) =>
        here
          .filter(({ word }) => word.test(word.source.includes('TODO') ? line : withoutComments(line)))
          .map(({ word, instead }) => `${path}:${i + 1}: ${word.exec(line)?.[0]}; instead: ${instead}`),
      );
  });
  expect(found).toEqual([]);
});

test('nothing in the checkout names this machine, or a registry', () => {
  const own = root.replace(/\/$/, '');
  const hosts = /\b(registry|npm|artifactory|packages)(\.[a-z0-9-]+)+\.(org|com|net|io|dev)\b/;
  const found = files.flatMap((path) => {
    const text = read(path);
    const machine = own.split('/').length > 2 && new RegExp(`${own}(?![\\w.-])`).test(text);
    return [machine && `${path}: ${own}`, hosts.test(text) && `${path}: ${hosts.exec(text)?.[0]}`];
  });
  const { packages } = JSON.parse(read('package-lock.json'));
  const resolved = Object.keys(packages).filter(
    (name) => packages[name].resolved !== undefined && !packages[name].link,
  );
  expect([...problems(found.filter((each) => !String(each).startsWith('test/unit/tidy'))), ...resolved]).toEqual([]);
});

// ---- size, tests, generated files ------------------------------------------------------------------------------------------

/** Files that may be longer than 400 lines, and why. */
const long: Readonly<Record<string, string>> = {
  'lib/program/ops.ts': 'one table, to which ops are appended',
  'lib/hints.ts': 'one table in which the order counts: the first row that fits',
  'test/support/sim.ts': 'one model of a host: its parts call one another',
  'test/oci/rootless.test.ts': 'one table of 37 cases',
  'native/fuzz/kernel.cc': 'one kernel: what each system call gives',
};

test('no source file is longer than 400 lines', () => {
  const sources = files.filter((path) => /^(lib|native|test)\/.*\.(ts|cc|h)$/.test(path) && !path.includes('.gen.'));
  const lengths = sources.map((path) => ({ path, lines: read(path).split('\n').length - 1 }));
  expect(lengths.filter(({ path, lines }) => lines > 400 && !(path in long))).toEqual([]);
});

/** What no test of its own folder imports: by what its path begins with, where it is tested, and why there. */
const testedElsewhere: readonly (readonly [start: string, folder: string, why: string])[] = [
  ['lib/rootfs/', 'test/plans', 'ops mean something in their order only'],
  ['lib/process/', 'test/plans', 'ops mean something in their order only'],
  ['lib/plan/keeper.ts', 'test/lifetime', 'it is for owners that were killed'],
  ['lib/host/heir.ts', 'test/lifetime', 'it is for owners that were killed'],
  ['lib/host/prepare.ts', 'test/container', 'what it prepares is a whole container'],
  ['lib/node/aborted.ts', 'test/container', 'what is given up goes on in a container'],
  ['lib/node/held.ts', 'test/container', 'what is held is copied into a container'],
  ['lib/host/plan-again.ts', 'test/container', 'what it is for is a container that is started again'],
  ['lib/host/oci/', 'test/cli', 'what a verb does is told by the command line: test/oci has more'],
  ['lib/host/bundle.ts', 'test/container', 'a bundle is a source like another'],
  ['lib/host/layers.ts', 'test/layers', 'it starts inits for layers'],
  ['lib/plan/layers.ts', 'test/layers', 'its programs mean something on disk only'],
  ['lib/layers/drivers.ts', 'test/images', 'which one it is, a container shows'],
  ['lib/layers/root.ts', 'test/images', 'a root file system becomes a container'],
  ['lib/host/image.ts', 'test/container', 'an image becomes a container, and goes with it'],
  ['lib/host/reserve.ts', 'test/container', 'what is made ahead is a container’s once there is one'],
  ['lib/images/port.ts', 'test/container', 'it joins images to containers'],
  ['lib/images/verbs.ts', 'test/cli', 'it joins images to the command line'],
  ['lib/host/volumes.ts', 'test/volumes', 'volumes become mounts of a container'],
  ['lib/volumes/port.ts', 'test/volumes', 'volumes become mounts of a container'],
  ['lib/volumes/mounted.ts', 'test/volumes', 'what is mounted again is a volume of a container'],
  ['lib/volumes/verbs.ts', 'test/cli', 'it joins volumes to the command line'],
  ['lib/layers/copy-directory.ts', 'test/volumes', 'what is copied is the first content of a volume'],
  ['lib/host/exec.ts', 'test/container', 'a command needs a container to join'],
  ['lib/host/files.ts', 'test/container', 'files are copied to and from a container'],
  ['lib/plan/files.ts', 'test/container', 'files are copied to and from a container'],
  ['lib/layers/copy-in.ts', 'test/container', 'files are copied to and from a container'],
  ['lib/layers/copy-out.ts', 'test/container', 'files are copied to and from a container'],
  ['lib/volumes/reap.ts', 'test/lifetime', 'it is for owners that were killed'],
  ['lib/ephemeral/', 'test/lifetime', 'it is for owners that were killed'],
  ['lib/host/lifetime.ts', 'test/lifetime', 'what goes with whom, several runtimes show'],
  ['lib/tiny/', 'test/tiny', 'it is linked into a program: test/cli and test/oci run it too (RUNTS_BINARY)'],
  ['lib/node/heir.ts', 'test/lifetime', 'it is for owners that were killed'],
  ['lib/layers/copy-tree.ts', 'test/container', 'a snapshot is told by the containers that are made of it'],
  ['lib/layers/snapshot.ts', 'test/container', 'a snapshot is told by the containers that are made of it'],
  ['lib/container/', 'test/container', 'through the public entry, as users do'],
  ['lib/runtime.ts', 'test/container', 'through the public entry, as users do'],
  ['lib/runtime/', 'test/container', 'through the public entry, as users do'],
  ['lib/node/arguments.ts', 'test/addon', 'through runts/unsafe'],
  ['lib/node/world.ts', 'test/unit', 'docs.test.ts runs the command line as its page describes it'],
  ['lib/cli/', 'test/unit', 'docs.test.ts runs the command line as its page describes it'],
];

test('every file of lib is tested by its folder, or it is said where', () => {
  const tested = new Set(
    files
      .filter((path) => /^test\/.*\.ts$/.test(path))
      .flatMap(importsOf)
      .map(({ to }) => to),
  );
  // What a tested file takes from its own folder is tested with it; a Set goes on to what is added while it is read.
  for (const path of tested) {
    for (const { from, to } of imports) if (from === path && layerOf(from) === layerOf(to)) tested.add(to);
  }
  const row = (path: string) => testedElsewhere.find(([start]) => path.startsWith(start));
  const hasCode = (path: string) => /^(export )?(async )?(const|let|function|class)\b/m.test(read(path));
  expect(lib.filter((path) => !tested.has(path) && row(path) === undefined && hasCode(path))).toEqual([]);
  const isThere = (folder: string) => files.some((path) => path.startsWith(`${folder}/`) && path.endsWith('.test.ts'));
  expect(testedElsewhere.filter(([, folder]) => !isThere(folder))).toEqual([]);
});

test('every op is in docs/plan.md, and the generated files are fresh', () => {
  const page = read('docs/plan.md');
  expect(opNames.filter((name) => !page.includes(`\n## ${name}\n`))).toEqual([]);
  const node = ['--import', './test/support/typescript.mjs', 'scripts/generate-ops.ts', '--check'];
  const { status, stderr } = spawnSync(process.execPath, node, { cwd: root, encoding: 'utf8' });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
});

test('what the package ships exists', () => {
  const { files: shipped, bin } = JSON.parse(read('package.json'));
  const other = (path: string) => /^dist|^!/.test(path);
  const missing = [...shipped, ...Object.values<string>(bin)].filter(
    (path) => !other(path) && !existsSync(join(root, path)),
  );
  expect(missing.map((path) => relative(root, join(root, path)))).toEqual([]);
});
