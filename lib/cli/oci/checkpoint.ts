import { RuntsError } from '../../errors.ts';
import type { Command } from '../command.ts';
import type { Flags } from '../parse.ts';

/** What both take, so that the refusal is about the command and not about an option. */
const shared: Flags = {
  imagePath: { names: ['--image-path'], value: 'DIR', doc: 'where the images are' },
  workPath: { names: ['--work-path'], value: 'DIR', doc: 'where work files and logs go' },
  tcpEstablished: { names: ['--tcp-established'], doc: 'open TCP connections, too' },
  extUnixSk: { names: ['--ext-unix-sk', '--ext-unix'], doc: 'unix sockets that lead outside, too' },
  shellJob: { names: ['--shell-job'], doc: 'jobs of a shell, too' },
  lazyPages: { names: ['--lazy-pages'], doc: 'memory comes as it is used' },
  fileLocks: { names: ['--file-locks'], doc: 'locks on files, too' },
  manageCgroups: { names: ['--manage-cgroups-mode'], value: 'MODE', doc: 'what becomes of cgroups' },
  emptyNs: { names: ['--empty-ns'], value: 'TYPE', repeat: true, doc: 'a namespace without its content' },
  autoDedup: { names: ['--auto-dedup'], doc: 'keep each page once' },
};

/** `runts checkpoint`. */
export const checkpoint: Command = {
  synopsis: ['[OPTIONS] ID'],
  text: 'Saving processes to disk is out of scope for now: this always fails, and changes nothing.',
  flags: {
    ...shared,
    parentPath: { names: ['--parent-path'], value: 'DIR', doc: 'earlier images' },
    leaveRunning: { names: ['--leave-running'], doc: 'go on afterwards' },
    statusFd: { names: ['--status-fd'], value: 'N', doc: 'a descriptor that is told when it is ready' },
    pageServer: { names: ['--page-server'], value: 'ADDRESS', doc: 'where memory is sent' },
    preDump: { names: ['--pre-dump'], doc: 'memory only' },
    skipInFlight: { names: ['--tcp-skip-in-flight'], doc: 'without connections that are being made' },
    linkRemap: { names: ['--link-remap'], doc: 'files without a name, too' },
  },
  grammar: { anywhere: true, lenient: true },
  words: 'containers',
  main: async () => refuse('checkpoint'),
};

/** `runts restore`. */
export const restore: Command = {
  synopsis: ['[OPTIONS] ID'],
  text: 'Bringing processes back from disk is out of scope for now: this always fails, and changes nothing.',
  flags: {
    ...shared,
    consoleSocket: { names: ['--console-socket'], value: 'PATH', doc: 'gets the terminal' },
    bundle: { names: ['--bundle', '-b'], value: 'DIR', doc: 'the bundle' },
    detach: { names: ['--detach', '-d'], doc: 'do not wait' },
    pidFile: { names: ['--pid-file'], value: 'FILE', doc: 'gets the number of the process' },
    noSubreaper: { names: ['--no-subreaper'], doc: 'no subreaper' },
    noPivot: { names: ['--no-pivot'], doc: 'no pivot_root' },
    lsmProfile: { names: ['--lsm-profile'], value: 'TYPE:NAME', doc: 'another profile' },
    lsmMountContext: { names: ['--lsm-mount-context'], value: 'CONTEXT', doc: 'another mount context' },
  },
  grammar: { anywhere: true, lenient: true },
  main: async () => refuse('restore'),
};

function refuse(verb: string): never {
  throw new RuntsError('ERR_UNSUPPORTED', `cannot ${verb}: checkpoint and restore are out of scope for now`, {
    hint: 'runc and crun do it with CRIU.',
  });
}
