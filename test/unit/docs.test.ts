import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, test, vi } from 'vitest';
import { containerFlags } from '../../lib/cli/container-flags.ts';
import { type Feature, testIf } from '../support/requires.ts';
import { diagnose, root } from '../types/diagnostics.ts';

const list = (folder: string, pattern: RegExp) =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => pattern.test(name))
    .map((name) => join(folder, name));
const read = (path: string) => readFileSync(join(root, path), 'utf8');

const pages = [
  ...readdirSync(root).filter((name) => name.endsWith('.md')),
  ...list('docs', /\.md$/),
  ...list('bench', /\.md$/),
];
const examples = list('examples', /\.js$/);

/** The blocks of a page in one language, with the line that each begins on. */
function blocks(page: string, language: string): { readonly line: number; readonly text: string }[] {
  const text = read(page);
  return [...text.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, 'gms'))].map((match) => ({
    line: text.slice(0, match.index).split('\n').length + 1,
    text: match[1]!,
  }));
}

// ---- pages -------------------------------------------------------------------------------------------------------------

/** The anchor of a heading, as forges make it. */
const anchor = (heading: string) =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .trim()
    .replace(/\s/g, '-');

test('every relative link leads to a file, and to a heading where it names one', () => {
  const broken = pages.flatMap((page) => {
    const text = read(page).replace(/^```.*?^```/gms, '');
    const links = [...text.matchAll(/\]\(([^)\s]+)\)/g)].map(([, link]) => link!);
    return links.flatMap((link) => {
      if (/^[a-z]+:/.test(link)) return [];
      const [path, name] = link.split('#') as [string, string?];
      const target = path === '' ? page : join(dirname(page), path);
      if (!existsSync(join(root, target))) return [`${page}: ${link}`];
      if (name === undefined || !target.endsWith('.md')) return [];
      const headings = [...read(target).matchAll(/^#+ (.*)$/gm)].map(([, heading]) => anchor(heading!));
      return headings.includes(name) ? [] : [`${page}: ${link}`];
    });
  });
  expect(broken).toEqual([]);
});

test('README begins with the two commands, which CI takes from it', () => {
  const commands = read('README.md')
    .split('\n')
    .filter((line) => line.startsWith('npm '));
  expect(commands.slice(0, 2)).toEqual([
    "npm ci && node bin/runts.js run --host -- sh -c 'id; hostname; ps ax; ls /home'",
    'npm ci && npm test',
  ]);
});

test('docs/library.md names every option, and docs/command-line.md every flag', () => {
  const library = read('docs/library.md');
  const source = read('lib/spec/options.ts');
  const names = ['CommonOptions', 'RunOptions', 'Limits', 'IoLimit', 'Sources'].flatMap((type) => {
    const body = new RegExp(`interface ${type} \\{\\n(.*?)^\\}`, 'ms').exec(source)?.[1] ?? '';
    return [...body.matchAll(/^ {2}readonly (\w+)\??:/gm)].map(([, name]) => name!);
  });
  expect(names.length).toBeGreaterThan(30);
  expect(names.filter((name) => !library.includes(`\`${name}\``))).toEqual([]);
  const commandLine = read('docs/command-line.md');
  const flags = Object.values(containerFlags).flatMap((flag) => flag.names);
  expect(flags.filter((flag) => !commandLine.includes(`\`${flag}`))).toEqual([]);
});

// ---- code --------------------------------------------------------------------------------------------------------------

/** What jest gives has the types of vitest's, which it was the model of. */
const jest = "declare module '@jest/globals' { export { afterAll, beforeAll, expect, test } from 'vitest'; }";

/** The text before the declaration of an export, which its own file has or another one that it names. */
function beforeDeclaration(file: string, name: string): string {
  const text = read(file);
  for (const [, names = '', from = ''] of text.matchAll(/^export (?:type )?\{([^}]*)\} from '([^']+)'/gm)) {
    if (new RegExp(`\\b${name}\\b`).test(names)) return beforeDeclaration(join(dirname(file), from), name);
  }
  const [before, declaration] = text.split(
    new RegExp(`^export (?:declare )?(?:async )?(?:interface|type|class|function|const) ${name}\\b`, 'm'),
  );
  if (declaration === undefined) throw new Error(`${file} does not declare ${name}`);
  return (before as string).trimEnd();
}

test('everything that the library exports says what it is', () => {
  const index = read('lib/index.ts');
  const listed = [...index.matchAll(/^export (?:type )?\{([^}]*)\} from/gm)].flatMap(([, names = '']) =>
    names.split(',').map((name) => name.replace(/\btype\b/, '').trim()),
  );
  const own = [...index.matchAll(/^export (?:async )?(?:function|const) (\w+)/gm)].map(([, name]) => name as string);
  const names = [...listed, ...own].filter((name) => name !== '');
  expect(names.length).toBeGreaterThan(80);
  expect(names.filter((name) => !beforeDeclaration('lib/index.ts', name).endsWith('*/'))).toEqual([]);
});

test('the TypeScript and JavaScript of the pages, and the examples, type-check', () => {
  const snippets = pages.flatMap((page) =>
    ['ts', 'js'].flatMap((language) =>
      blocks(page, language).map(({ line, text }): [string, string] => [
        join(root, `${page}-${line}.${language}`),
        text,
      ]),
    ),
  );
  expect(snippets.length).toBeGreaterThan(25);
  const files = new Map<string, string | undefined>([
    ...snippets,
    [join(root, 'jest.d.ts'), jest],
    ...examples.map((path): [string, undefined] => [join(root, path), undefined]),
  ]);
  expect(diagnose(files)).toEqual([]);
});

/** On a machine with other things to do, Node's start and the compiling of our sources alone take many seconds. */
const programMs = 80_000;
vi.setConfig({ testTimeout: 90_000 });

/** Runs programs that import `runts` from our sources, one after the other in a Node of their own. */
function runPrograms(texts: readonly string[], timeout = programMs) {
  const scratch = mkdtempSync(join(tmpdir(), 'runts-docs-'));
  try {
    const ours = `'${pathToFileURL(join(root, 'lib/index.ts'))}'`;
    for (const [i, text] of texts.entries()) writeFileSync(join(scratch, `${i}.ts`), text.replace(/'runts'/g, ours));
    const file = join(scratch, 'programs.ts');
    writeFileSync(file, texts.map((_, i) => `await import('./${i}.ts');\n`).join(''));
    const hooks = pathToFileURL(join(root, 'test/support/typescript.mjs')).href;
    const { status, stdout, stderr } = spawnSync(process.execPath, ['--import', hooks, file], {
      cwd: scratch,
      encoding: 'utf8',
      timeout,
    });
    return { status, stdout, stderr };
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

const severalIds: Feature = process.getuid?.() === 0 ? 'root' : 'subuids';
/** Pages whose programs need nothing but this machine, and what of it. */
const runnable: Readonly<Record<string, readonly Feature[]>> = {
  'docs/inside.md': ['userns'],
  'docs/untrusted.md': ['userns', severalIds],
  'docs/troubleshooting.md': ['userns'],
};

describe('what is shown also runs', () => {
  testIf('userns')('the first program of the README', () => {
    const { status, stdout, stderr } = runPrograms([blocks('README.md', 'ts')[0]!.text]);
    expect(status, stderr).toBe(0);
    expect(stdout).toContain('uid=0(root)');
    expect(stdout).toContain('ready');
  });

  for (const [page, needs] of Object.entries(runnable)) {
    testIf(...needs)(`the programs of ${page}, and print what is said`, () => {
      const texts = blocks(page, 'ts').map(({ text }) => text);
      const { status, stdout, stderr } = runPrograms(texts);
      expect(status, stderr).toBe(0);
      const promised = texts.flatMap((text) => [
        ...text.matchAll(/^ *(?:for .*)?(?:console|process)\..*\); \/\/ (.*)$/gm),
      ]);
      expect(promised.length).toBeGreaterThan(1);
      // Each after the one before.
      let rest = stdout;
      for (const [, line = ''] of promised) {
        expect(rest).toContain(`${line}\n`);
        rest = rest.slice(rest.indexOf(`${line}\n`) + line.length + 1);
      }
    });
  }

  testIf('userns')('the steps of docs/ci.md that are not about a machine of a CI', () => {
    const steps = blocks('docs/ci.md', 'yaml').flatMap(({ text }) =>
      [...text.matchAll(/^ +- run: (.*)$/gm)].map(([, step]) => step!),
    );
    expect(steps).toEqual([expect.stringMatching(/^sudo sysctl/), 'npm ci', 'npx runts doctor', expect.any(String)]);
    const doctor = spawnSync('bin/runts.js', ['doctor'], { cwd: root, encoding: 'utf8', timeout: programMs });
    expect(doctor.status, doctor.stdout).toBe(0);
    // The last is one of the examples below.
    expect(examples.map((path) => `node --test ${path}`)).toContain(steps.at(-1));
  });

  for (const path of examples) {
    // It makes an image of Debian's packages first: half a minute, and more on a slow line.
    const isSlow = path.endsWith('database.test.js');
    const wanted =
      process.env['RUNTS_SLOW'] !== undefined && spawnSync('mmdebstrap', ['--version']).error === undefined;
    const testExample = testIf('userns', ...(isSlow || path.endsWith('untrusted.js') ? [severalIds] : []));
    (isSlow && !wanted ? test.skip : testExample)(path, { timeout: isSlow ? 600_000 : 90_000 }, () => {
      const { status, stdout, stderr } = runPrograms([read(path)], isSlow ? 590_000 : programMs);
      expect(status, stderr).toBe(0);
      const expected = /^\/\/ prints: (.*)$/gm;
      for (const [, line] of read(path).matchAll(expected)) expect(stdout).toContain(line);
    });
  }
});

describe('docs/command-line.md', () => {
  const runts = (...argv: string[]) =>
    spawnSync('bin/runts.js', argv, { cwd: root, encoding: 'utf8', timeout: programMs });

  const exits: readonly (readonly [says: string, code: number, argv: readonly string[]])[] = [
    ['the exit code of the command', 7, ['run', '--host', '--', 'sh', '-c', 'exit 7']],
    ['128 + n for signal n', 137, ['run', '--host', '--', 'sh', '-c', 'kill -9 $$']],
    ['125 where the container could not be made', 125, ['run', '--host', '-v', '/no/such:/x', '--', 'true']],
    ['126 for what cannot be executed', 126, ['run', '--host', '--', '/etc/passwd']],
    ['127 for what was not found', 127, ['run', '--host', '--', 'no-such-command']],
    ['125 for a wrong command line', 125, ['run', '--host', '--tyt', '--', 'true']],
  ];
  for (const [says, code, argv] of exits) {
    testIf('userns')(says, () => {
      const { status, stderr } = runts(...argv);
      expect(status, stderr).toBe(code);
      // What runts itself has to say begins with its name, and so tells its codes from the command's.
      expect(stderr.startsWith('runts:')).toBe(code >= 125 && code <= 127);
    });
  }

  testIf('userns')('plan prints the steps with their origins, and makes nothing', () => {
    const { status, stdout } = runts('plan', '--host', '--', 'true');
    expect(status).toBe(0);
    expect(stdout).toMatch(/^clone {6}.*\buser\b/);
    expect(stdout).toMatch(/^ *\d+ {2}fsmount .*fstype=proc.*; \/mounts\/0$/m);
    expect(stdout).toMatch(/^ *\d+ {2}exec .*argv=\[true\].*; \/process\/args$/m);
  });

  testIf('userns')('doctor says what to do about each thing that is missing', () => {
    const { status, stdout } = runts('doctor');
    expect(status).toBe(0);
    const missing = [...stdout.matchAll(/^NO .*\n {7}why: .+(\n {7}what to do: .+)?/gm)];
    expect(missing.length).toBe([...stdout.matchAll(/^NO /gm)].length);
  });
});
