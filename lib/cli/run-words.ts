import { containerFlags } from './container-flags.ts';
import type { Flags } from './parse.ts';

/** `run` has two forms, docker's and runc's, and one help. */
export const runSynopsis = ['[OPTIONS] ID', '(--host | --rootfs DIR | --image IMAGE) [OPTIONS] [--] [COMMAND [ARG …]]'];

export const runText = `Of a bundle: creates the container, starts it, waits for its command and removes it. The exit code is the command's,
128 + n when signal n ended it, and 1 when the container could not be made. With --detach it does not wait, and the
container stays until \`delete\`. Signals that come to us are the command's, and so is our terminal if it wants one.

Without a bundle, with one of --host, --rootfs and --image: the options are those of docker run (below), the exit code is
125, 126 or 127 when the container cannot be made, the command cannot be executed, or was not found.`;

const { bundle: _bundle, ...withoutBundle } = containerFlags;

/** The options of the form without a bundle. */
export const dockerFlags: Flags = {
  ...withoutBundle,
  trace: { names: ['--trace'], doc: 'print how long each op took, in nanoseconds' },
};

/** What tells the two apart: a root file system on the line. */
export const sourceFlags: Flags = {
  host: dockerFlags['host']!,
  rootfs: dockerFlags['rootfs']!,
  image: dockerFlags['image']!,
};
