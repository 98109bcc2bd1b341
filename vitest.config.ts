import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

const report = process.env['RUNTS_TEST_REPORT'];

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // The first want a machine of their own: npm run test:vm. The others fail, for a test that looks at how.
    exclude: ['test/vm/**', 'test/vitest/fixtures/**'],
    testTimeout: 30_000,
    hookTimeout: 30_000,
    // Who waits for something waits as long as a test may: one second is short where the machine is emulated.
    expect: { poll: { timeout: 20_000 } },
    // A process for each file: tests count descriptors, children and mounts of their own process.
    pool: 'forks',
    // Tests wait for the kernel and for other programs: a processor that vitest leaves free would have nothing to do.
    maxWorkers: availableParallelism(),
    reporters: report === undefined ? ['default'] : ['default', 'json'],
    ...(report === undefined ? {} : { outputFile: { json: report } }),
  },
});
