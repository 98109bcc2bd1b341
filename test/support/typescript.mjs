// node --import ./test/support/typescript.mjs file.ts: runs our sources in a plain node, for tests that need a process
// or a thread of their own. With RUNTS_BUILT=1 lib/ is taken as it was built, where to compile it is too slow.
import { register } from 'node:module';

const hooks = `
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
const ts = createRequire(${JSON.stringify(import.meta.url)})('typescript');
const compilerOptions = { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022, verbatimModuleSyntax: true };
const built = process.env.RUNTS_BUILT === '1';
const sources = ${JSON.stringify(new URL('../../lib/', import.meta.url).href)};
const compiled = ${JSON.stringify(new URL('../../dist/lib/', import.meta.url).href)};
export async function resolve(specifier, context, next) {
  const found = await next(specifier, context);
  if (!built || !found.url.startsWith(sources)) return found;
  return { ...found, url: compiled + found.url.slice(sources.length).replace(/ts$/, 'js'), format: 'module' };
}
export async function load(url, context, next) {
  if (!url.endsWith('.ts')) return next(url, context);
  const source = readFileSync(fileURLToPath(url), 'utf8');
  return { format: 'module', shortCircuit: true, source: ts.transpileModule(source, { compilerOptions }).outputText };
}`;
register(`data:text/javascript,${encodeURIComponent(hooks)}`);
