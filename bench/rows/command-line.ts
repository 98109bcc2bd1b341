import { commandLine } from '../paths.ts';
import { newId } from '../peers.ts';
import type { Row } from '../row.ts';
import { limit } from './limit.ts';

/** What a shell waits for, or an engine that calls an OCI runtime. */
export const commandLines: Row = {
  key: 'command-line',
  title: '`run` of the bundle, from a small program',
  subjects: (world) => {
    const timed = async (command: readonly string[]) => (await world.limit.spawn(command)).ms;
    const ours = () => [
      process.execPath,
      commandLine,
      '--cgroup-manager=disabled',
      'run',
      '-b',
      world.bundle.directory,
    ];
    return [
      limit(world),
      { name: 'runts (Node)', once: () => timed([...ours(), newId()]) },
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
    const ours = () => [
      process.execPath,
      commandLine,
      '--cgroup-manager=disabled',
      'run',
      '-b',
      world.bundle.directory,
    ];
    return [
      { name: 'runts (Node)', once: () => resident([...ours(), newId()]) },
      ...world.peers.map(({ name, missing, command }) => ({ name, missing, once: () => resident(command()) })),
    ];
  },
};
