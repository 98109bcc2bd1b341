import { resolve, sep } from 'node:path';
import { defineConfig } from 'vitest/config';

const report = process.env['RUNTS_TEST_REPORT'];
const sources = resolve('lib') + sep;
const built = resolve('dist', 'lib') + sep;

/** For the machine of scripts/vm (`npm run test:vm`), where code that Node compiles is several times slower. */
export default defineConfig({
  plugins: [
    {
      // What tsc made of lib/, as it is installed: to compile it again for each file would take half of the time.
      name: 'built-lib',
      enforce: 'pre',
      resolveId(source, importer) {
        if (importer === undefined || !source.startsWith('.')) return undefined;
        const path = resolve(importer, '..', source);
        if (!path.startsWith(sources)) return undefined;
        return { id: built + path.slice(sources.length).replace(/\.ts$/, '.js'), external: true };
      },
    },
  ],
  test: {
    include: ['test/**/*.test.ts'],
    testTimeout: 180_000,
    hookTimeout: 180_000,
    expect: { poll: { timeout: 60_000 } },
    pool: 'forks',
    maxWorkers: 2,
    reporters: report === undefined ? ['default'] : ['default', 'json'],
    ...(report === undefined ? {} : { outputFile: { json: report } }),
  },
});
