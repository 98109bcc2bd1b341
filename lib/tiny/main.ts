import { explainInLine } from '../cli/explain.ts';
import { main } from '../cli/main.ts';
import { seccompFilter } from '../plan/seccomp.ts';
import { schema } from '../program/schema.ts';
import { defaultProfile } from '../seccomp/default.ts';
import { defaultCapabilities } from '../spec/defaults.ts';
import type { SeccompProfile } from '../spec/types.ts';
import { handOver, isForNode } from './hand-over.ts';
import { countInherited } from './inherited.ts';
import { runLoop } from './loop.ts';
import { endWithUs } from './native.ts';
import { call, system } from './system.ts';
import { createWorld, outputStatus } from './world.ts';

const failed = 125;

/** The whole program: native/tiny/main.cc calls it, and ends with what it gives. */
function run(): number {
  // What we make is ours to read and write again, whatever our caller keeps from itself: state, locks, sockets.
  call.umask(call.umask(0) & 0o077);
  countInherited();
  const world = createWorld();
  const words = system.argv.slice(1);
  let code: number | undefined;
  const ending = (async () => {
    if (isForNode(words)) handOver(`\`${words.join(' ')}\``);
    return main(words, world);
  })();
  ending.then(
    (status) => {
      code = status;
    },
    (error: unknown) => {
      world.printError(`${world.name}: ${explainInLine(error)}\n`);
      code = failed;
    },
  );
  runLoop();
  endWithUs();
  if (code === undefined) world.printError(`${world.name}: nothing is left to wait for, and there is no end\n`);
  return outputStatus || (code ?? failed);
}

/** What each start would compute anew, and is the same for all: in the snapshot it is there. */
function prepare(): void {
  schema();
  const { arch } = system;
  seccompFilter(defaultProfile({ arch, capabilities: defaultCapabilities }) as unknown as SeccompProfile, arch);
}

Object.assign(globalThis, { runts: run, runtsPrepare: prepare });
