// A process of its own for bench/rows/surroundings.ts: answers each line with the milliseconds that a container took.
import { createInterface } from 'node:readline';
import { createRuntime } from '../lib/index.js';
import { runBundle } from './rows/library.ts';

const [bundle, heapMiB] = process.argv.slice(2) as [string, string];

/** Objects, for the collector to look at, and pages that a copy of this process would have to map. */
const ballast = Array.from({ length: Number(heapMiB) }, (_, i) =>
  Array.from({ length: 4096 }, (_, j) => new Array(27).fill(i + j)),
);

await using runtime = createRuntime();
for await (const _ of createInterface({ input: process.stdin })) {
  const began = performance.now();
  await runBundle(runtime, bundle);
  console.log(performance.now() - began);
}
if (ballast.length !== Number(heapMiB)) throw new Error('the ballast is gone');
