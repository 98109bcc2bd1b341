import { existsSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../paths.ts';
import type { Row } from '../row.ts';

/** What a program waits for before its first container. */
export const load: Row = {
  key: 'load',
  title: 'a Node program that does nothing, and one that imports the library',
  subjects: ({ scratch, limit }) => {
    const put = (name: string, text: string): string => {
      const path = join(scratch, name);
      writeFileSync(path, text);
      return path;
    };
    const node = (path: string) => async () => (await limit.spawn([process.execPath, path])).ms;
    return [
      { name: 'nothing', once: node(put('nothing.mjs', '')) },
      { name: 'runts', once: node(put('load.mjs', `import '${join(packageRoot, 'dist/bundle/index.js')}';\n`)) },
    ];
  },
};

const built = ['Release/runts-init', 'Release/runts.node', 'tiny/runts'] as const;

/** What there is to be shipped. */
export const sizes: Row = {
  key: 'sizes',
  title: 'sizes',
  unit: 'bytes',
  rounds: () => 1,
  subjects: () =>
    built.map((name) => {
      const path = join(packageRoot, 'build', name);
      return {
        name: name.replace('Release/', ''),
        missing: existsSync(path) ? undefined : 'not built',
        once: async () => statSync(path).size,
      };
    }),
};
