// The Node program that the peers are spawned from: answers each line, a command as JSON, with the milliseconds that it took.
import { createInterface } from 'node:readline';
import { spawned } from './peers.ts';

for await (const line of createInterface({ input: process.stdin })) {
  const { command, filter } = JSON.parse(line) as { command: readonly string[]; filter?: string };
  const began = performance.now();
  await spawned(command, filter);
  console.log(performance.now() - began);
}
