import { execFileSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { build } from 'rolldown';

/** What stands on these stands in the static binary on what has their place in lib/tiny. */
const exchanged = ['node/native', 'node/handle', 'spec/json', 'spec/kernel-text', 'host/bounded', 'seccomp/syscalls'];

/** What is loaded when it is needed elsewhere, is a part of the snapshot here: loading it would be work of each start. */
function loadedAtOnce(code: string): string {
  const names: string[] = [];
  const changed = code.replace(/(?<!typeof |\w)import\(('\.[^']+')\)/g, (_, source: string) => {
    if (!names.includes(source)) names.push(source);
    return `Promise.resolve(loaded${names.indexOf(source)})`;
  });
  return names.map((source, i) => `import * as loaded${i} from ${source};`).join('') + changed;
}

/** The core, the command line and lib/tiny as one script. */
export async function bundle(root: string, to: string): Promise<void> {
  const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'));
  await build({
    input: join(root, 'lib/tiny/main.ts'),
    platform: 'neutral',
    logLevel: 'warn',
    // The engine has private names and fields of classes; without them they would be slow.
    transform: { target: 'es2022', define: { BUILD: JSON.stringify({ version, commit: commitOf(root) }) } },
    plugins: [
      {
        name: 'exchange',
        resolveId(source: string, importer: string | undefined) {
          const path = importer === undefined ? source : join(importer, '..', source);
          const name = exchanged.find((each) => path === join(root, 'lib', `${each}.ts`));
          const other = name === undefined ? undefined : join(root, 'lib/tiny', `${name.split('/')[1]}.ts`);
          return other === undefined || other === importer ? null : other;
        },
        transform: loadedAtOnce,
      },
    ],
    output: { format: 'esm', file: to, codeSplitting: false, minify: true },
  });
}

/** Undefined where this is no checkout. */
function commitOf(root: string): string | undefined {
  try {
    return execFileSync('git', ['-C', root, 'rev-parse', 'HEAD'], { encoding: 'utf8', stdio: 'pipe' }).trim();
  } catch {
    return undefined;
  }
}
