import type { Command } from './command.ts';

/** A command before it is loaded: what a list of commands needs. */
export interface CommandRow {
  readonly doc: string;
  /** The words after it decide between the two forms of `run`. */
  readonly load: (words: readonly string[]) => Promise<Command>;
}

/** Each command is loaded by itself: most calls are `state`, `kill` and `delete`, and shall not wait for the rest. */
export const commands: Readonly<Record<string, CommandRow>> = {
  create: {
    doc: 'make a container that waits to be started',
    load: async () => (await import('./oci/create.ts')).create,
  },
  start: { doc: 'start the command of a created container', load: async () => (await import('./oci/start.ts')).start },
  run: { doc: 'create, start and wait for a container, and remove it', load: loadRun },
  exec: { doc: 'run another process in a container', load: async () => (await import('./oci/exec.ts')).exec },
  state: { doc: 'print the state of a container as JSON', load: async () => (await import('./oci/state.ts')).state },
  list: { doc: 'print the containers of a state directory', load: async () => (await import('./oci/list.ts')).list },
  ps: { doc: 'print the processes of a container', load: async () => (await import('./oci/ps.ts')).ps },
  kill: { doc: 'send a signal to a container', load: async () => (await import('./oci/kill.ts')).kill },
  delete: { doc: 'remove a container that has stopped', load: async () => (await import('./oci/delete.ts')).remove },
  pause: { doc: 'freeze all processes of a container', load: async () => (await import('./oci/pause.ts')).pause },
  resume: { doc: 'let a paused container go on', load: async () => (await import('./oci/pause.ts')).resume },
  update: { doc: 'change the limits of a container', load: async () => (await import('./oci/update.ts')).update },
  events: {
    doc: 'print what a container uses, and when memory ran out',
    load: async () => (await import('./oci/events.ts')).events,
  },
  spec: { doc: 'write a configuration to begin with', load: async () => (await import('./oci/spec.ts')).spec },
  features: {
    doc: 'print what this runtime knows, as JSON',
    load: async () => (await import('./oci/features.ts')).features,
  },
  checkpoint: {
    doc: 'not supported: out of scope for now',
    load: async () => (await import('./oci/checkpoint.ts')).checkpoint,
  },
  restore: {
    doc: 'not supported: out of scope for now',
    load: async () => (await import('./oci/checkpoint.ts')).restore,
  },
  plan: { doc: 'print what `run` would do, step by step', load: async () => (await import('./plan.ts')).plan },
  doctor: {
    doc: 'what this host can do, and what to do about the rest',
    load: async () => (await import('./doctor.ts')).doctor,
  },
  pull: { doc: 'bring an image from its registry', load: async () => (await import('./images/transfer.ts')).pull },
  push: { doc: 'send an image to its registry', load: async () => (await import('./images/transfer.ts')).push },
  images: { doc: 'print the images that are here', load: async () => (await import('./images/list.ts')).images },
  image: {
    doc: 'commands about images: ls, inspect, history, rm, prune, verify and others',
    load: async (words) => (await import('./images/image.ts')).imageCommand(words),
  },
  history: { doc: 'print how an image was made', load: async () => (await import('./images/inspect.ts')).history },
  tag: { doc: 'give an image another name', load: async () => (await import('./images/change.ts')).tag },
  rmi: { doc: 'remove images', load: async () => (await import('./images/change.ts')).remove },
  load: { doc: 'store the images of an archive', load: async () => (await import('./images/change.ts')).load },
  save: { doc: 'write images as an archive', load: async () => (await import('./images/change.ts')).save },
  import: {
    doc: 'make an image of the archive of a root file system',
    load: async () => (await import('./images/change.ts')).importCommand,
  },
  commit: {
    doc: 'make an image of a container',
    load: async () => (await import('./images/of-container.ts')).commit,
  },
  export: {
    doc: 'write the root file system of a container as an archive',
    load: async () => (await import('./images/of-container.ts')).exportCommand,
  },
  diff: {
    doc: 'print what a container has changed of its image',
    load: async () => (await import('./images/of-container.ts')).diff,
  },
  volume: {
    doc: 'commands about volumes: create, ls, inspect, rm and prune',
    load: async (words) => (await import('./volumes/volume.ts')).volumeCommand(words),
  },
  login: {
    doc: 'keep a user name and a password for a registry',
    load: async () => (await import('./images/change.ts')).login,
  },
  logout: { doc: 'forget them', load: async () => (await import('./images/change.ts')).logout },
  completion: { doc: 'print completion for a shell', load: async () => (await import('./completion.ts')).completion },
  man: { doc: 'print a manual page', load: async () => (await import('./man.ts')).man },
};

/** A root file system on the line makes it docker's run; otherwise there is a bundle, and it is runc's. */
async function loadRun(words: readonly string[]): Promise<Command> {
  const own = words.includes('--') ? words.slice(0, words.indexOf('--')) : words;
  const docker = own.some((word) => /^--(host|rootfs|image)(=|$)/.test(word));
  return docker ? (await import('./run.ts')).run : (await import('./oci/run.ts')).run;
}
