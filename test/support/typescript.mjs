// node --import ./test/support/typescript.mjs file.ts: runs our sources in a plain node, for tests that need a process
// or a thread of their own.
import { register } from 'node:module';

const hooks = `
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
const ts = createRequire(${JSON.stringify(import.meta.url)})('typescript');
const compilerOptions = { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022, verbatimModuleSyntax: true };
export async function load(url, context, next) {
  if (!url.endsWith('.ts')) return next(url, context);
  const source = readFileSync(fileURLToPath(url), 'utf8');
  return { format: 'module', shortCircuit: true, source: ts.transpileModule(source, { compilerOptions }).outputText };
}`;
register(`data:text/javascript,${encodeURIComponent(hooks)}`);
