import { existsSync } from 'node:fs';
import { commandLine, staticCommandLine } from '../paths.ts';
import { newId } from '../peers.ts';
import type { Row } from '../row.ts';
import type { World } from '../world.ts';
import { limit } from './limit.ts';

interface CommandLine {
  readonly name: string;
  readonly missing: string | undefined;
  readonly words: readonly string[];
}

const ours: readonly CommandLine[] = [
  { name: 'runts (Node)', missing: undefined, words: [process.execPath, commandLine] },
  {
    name: 'runts (static)',
    missing: existsSync(staticCommandLine) ? undefined : 'not built: npm run build:tiny',
    words: [staticCommandLine],
  },
];

const runBundle = ({ words }: CommandLine, { bundle }: World): string[] => [
  ...[...words, '--cgroup-manager=disabled', 'run', '-b', bundle.directory],
  newId(),
];

/** What a shell waits for, or an engine that calls an OCI runtime. */
export const commandLines: Row = {
  key: 'command-line',
  title: '`run` of the bundle, from a small program',
  subjects: (world) => {
    const timed = async (command: readonly string[]) => (await world.limit.spawn(command)).ms;
    return [
      limit(world),
      ...ours.map((each) => ({
        name: each.name,
        missing: each.missing,
        once: () => timed(runBundle(each, world)),
      })),
      ...world.peers.map(({ name, missing, every, command }) => ({
        name,
        missing,
        every,
        once: () => timed(command()),
      })),
    ];
  },
};

/** The most memory that each command line has at a time. */
export const commandLineMemory: Row = {
  key: 'command-line-memory',
  title: 'largest resident set of `run`',
  unit: 'KiB',
  rounds: () => 1,
  subjects: (world) => {
    const resident = async (command: readonly string[]) => (await world.limit.spawn(command)).residentKiB;
    return [
      ...ours.map((each) => ({
        name: each.name,
        missing: each.missing,
        once: () => resident(runBundle(each, world)),
      })),
      ...world.peers.map(({ name, missing, command }) => ({ name, missing, once: () => resident(command()) })),
    ];
  },
};
