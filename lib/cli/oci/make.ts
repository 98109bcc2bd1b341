import { RuntsError, specError } from '../../errors.ts';
import { readBundle } from '../../host/bundle.ts';
import type { Cancel } from '../../host/cancel.ts';
import type { CreateRequest } from '../../host/oci/create.ts';
import type { Process } from '../../spec/types.ts';
import type { Context } from '../command.ts';
import { type Flags, isOn, type Parsed, textOf } from '../parse.ts';
import { absolute } from '../paths.ts';
import { interruptible } from '../signals.ts';
import { count } from './common.ts';
import { inherited, withInherited } from './inherited.ts';

/** What one message to the init can carry (SCM_MAX_FD), less what a container needs besides. */
const preserveMost = 200;

/** Where the new process's terminal, number and descriptors go: `create`, `run` and `exec`. */
export const handOverFlags: Flags = {
  consoleSocket: {
    names: ['--console-socket'],
    value: 'PATH',
    doc: "a unix socket that gets the other end of the command's terminal",
  },
  pidFile: { names: ['--pid-file'], value: 'FILE', doc: "write the process's number there" },
  pidfdSocket: { names: ['--pidfd-socket'], value: 'PATH', doc: 'a unix socket that gets a descriptor of the process' },
  preserveFds: {
    names: ['--preserve-fds'],
    value: 'N',
    doc: 'pass N descriptors on from 3, after those of LISTEN_FDS',
  },
};

/** What `create` and `run` have in common. */
export const makeFlags: Flags = {
  bundle: { names: ['--bundle', '-b'], value: 'DIR', doc: 'the bundle; the current directory unless given' },
  config: { names: ['--config', '-f'], value: 'FILE', doc: 'read this file instead of config.json of the bundle' },
  ...handOverFlags,
  noPivot: {
    names: ['--no-pivot'],
    doc: 'chroot instead of pivot_root, for root file systems that are an initramfs: less safe',
  },
  noNewKeyring: { names: ['--no-new-keyring'], doc: "keep the caller's session keyring" },
  noSubreaper: { names: ['--no-subreaper'], doc: 'accepted: we never are a subreaper' },
};

/** The descriptors that the command gets besides 0, 1 and 2. */
export function preserved(parsed: Parsed, { world, log }: Context): number {
  const { listenFds } = inherited(world);
  const asked = count(parsed, 'preserveFds', '--preserve-fds', preserveMost) + listenFds;
  const open = openFrom3(world, asked);
  // A socket that systemd speaks of must be there, and who has nothing to pass on at all has miscounted.
  if (open >= asked || open < listenFds) return asked;
  if (open === 0) {
    throw specError('invalid options', [
      { path: '--preserve-fds', message: `descriptor 3 is not open: there are none to pass on, and not ${asked}` },
    ]);
  }
  log.warn(`--preserve-fds: descriptor ${3 + open} is not open: ${open} are passed on, and not ${asked}`);
  return open;
}

/** How many of our caller's descriptors from 3 on follow one another. */
function openFrom3({ host }: Context['world'], most: number): number {
  for (let n = 0; n < most; n++) {
    const handle = host.processes.inherited(3 + n);
    if (handle === undefined) return n;
    handle.close();
  }
  return most;
}

/** A path on the command line that may be empty, which is as if it was not given. */
export function pathOf(parsed: Parsed, key: string, { world }: Context): string | undefined {
  const text = textOf(parsed, key);
  return text === undefined || text === '' ? undefined : absolute(world.host.environment, text);
}

/** From the words of `create` and `run` to what the host is asked for. */
export async function createRequest(
  parsed: Parsed,
  context: Context,
  id: string,
  detached: boolean,
  cancel?: Cancel,
): Promise<CreateRequest> {
  const { world, log } = context;
  const { environment } = world.host;
  const preserveFds = preserved(parsed, context);
  const bundle = pathOf(parsed, 'bundle', context) ?? environment.cwd;
  const config = textOf(parsed, 'config') || undefined;
  const warn = (message: string): void => log.warn(message);
  const spec = await withInherited(await readBundle(world.host, bundle, { config, warn }), world, warn);
  const consoleSocket = pathOf(parsed, 'consoleSocket', context);
  checkTerminal(spec.process, consoleSocket, detached, world.name);
  return {
    root: context.root,
    id,
    bundle,
    spec,
    owner: environment.userName ?? String(environment.uid),
    consoleSocket,
    pidFile: pathOf(parsed, 'pidFile', context),
    pidfdSocket: pathOf(parsed, 'pidfdSocket', context),
    preserveFds,
    detached,
    noPivot: isOn(parsed, 'noPivot'),
    noNewKeyring: isOn(parsed, 'noNewKeyring'),
    cgroupManager: context.cgroupManager,
    stdio: spec.process?.terminal === true ? undefined : world.stdio(),
    plainOutput: consoleSocket === undefined && !world.terminal.output,
    warn,
    cancel,
    interruptible: interruptible(world),
  };
}

/** A terminal has two ends: of a command that outlives us, somebody else must get the other one. */
export function checkTerminal(
  process: Process | undefined,
  consoleSocket: string | undefined,
  detached: boolean,
  name: string,
): void {
  const terminal = process?.terminal === true;
  if (detached && terminal && consoleSocket === undefined) {
    throw new RuntsError(
      'ERR_SPEC',
      `cannot allocate tty if ${name} will detach without setting console socket: use --console-socket PATH`,
      { origin: '/process/terminal' },
    );
  }
  if (consoleSocket !== undefined && !(detached && terminal)) {
    throw new RuntsError('ERR_SPEC', `cannot use console socket if ${name} will not detach or allocate tty`, {
      origin: '/process/terminal',
      hint: 'Leave --console-socket away, or set process.terminal to true.',
    });
  }
}
