import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

/** The checkout. */
export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** As a user's project would have it: strict, and without the rules that only concern how we build. */
function options(): ts.CompilerOptions {
  const { config } = ts.readConfigFile(join(root, 'tsconfig.test.json'), ts.sys.readFile);
  const { options: ours } = ts.parseJsonConfigFileContent(config, ts.sys, root);
  const paths = { runts: ['./lib/index.ts'], 'runts/unsafe': ['./lib/unsafe.ts'], 'runts/vitest': ['./lib/vitest.ts'] };
  return {
    ...ours,
    paths,
    allowJs: true,
    checkJs: true,
    noUnusedLocals: false,
    noUnusedParameters: false,
    isolatedModules: false,
  };
}

/**
 * What the compiler says of some files, as `file:line: message`; `runts` in them is lib/index.ts. The files are given
 * by path, with their text where it is not on disk.
 */
export function diagnose(files: ReadonlyMap<string, string | undefined>): string[] {
  const compilerOptions = options();
  const host = ts.createCompilerHost(compilerOptions);
  const { readFile, fileExists } = host;
  host.fileExists = (path) => files.has(path) || fileExists(path);
  host.readFile = (path) => files.get(path) ?? readFile(path);
  const program = ts.createProgram([...files.keys()], compilerOptions, host);
  return [...files.keys()].flatMap((path) => {
    const source = program.getSourceFile(path);
    if (source === undefined) return [`${relative(root, path)}: not found`];
    const found = [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)];
    return found.map(({ start = 0, messageText }) => {
      const { line } = source.getLineAndCharacterOfPosition(start);
      return `${relative(root, path)}:${line + 1}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`;
    });
  });
}
