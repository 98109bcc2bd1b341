import { RuntsError } from '../errors.ts';
import type { Builder } from '../program/builder.ts';
import type { Identity } from './identity.ts';

/** The registers of descriptors 0, 1 and 2. */
export interface Stdio {
  readonly stdin: string;
  readonly stdout: string;
  readonly stderr: string;
}

export interface WindowSize {
  readonly width: number;
  readonly height: number;
}

/** A terminal of the container: `slave` is its end. */
export interface Terminal {
  readonly slave: string;
}

export interface TerminalPlaces {
  /** The register of the container's own devpts mount; undefined where it has none. */
  readonly devpts: string | undefined;
  /** Where /dev/console is. */
  readonly console: { readonly root: string; readonly path: string };
  /** With which tag the host gets its end. */
  readonly tag: number;
  readonly size: WindowSize | undefined;
}

/**
 * Opens a terminal of the container's own, sends its other end to the host, and makes it /dev/console. By descriptors
 * only: no path of the image is trusted with it (CVE-2025-52565).
 */
export function openTerminal(ops: Builder, { devpts, console, tag, size }: TerminalPlaces): Terminal {
  const origin = '/process/terminal';
  if (devpts === undefined) {
    throw new RuntsError('ERR_UNSUPPORTED', 'a terminal needs a devpts of the container', {
      origin,
      hint: 'Add {"type": "devpts", "destination": "/dev/pts"} to the mounts.',
    });
  }
  const master = ops.register('master');
  const slave = ops.register('slave');
  const console_ = ops.register('console');
  ops.op('pty', { master, slave, devpts }, origin);
  if (size !== undefined && size.width > 0 && size.height > 0) {
    ops.op('window', { src: slave, columns: size.width, rows: size.height }, '/process/consoleSize');
  }
  ops.op('clone_below', { dst: console_, root: slave, path: '', recursive: 0 }, origin);
  ops.op('attach', { src: console_, ...console, ordinary: 0 }, origin);
  ops.op('send_handle', { src: master, tag }, origin);
  return { slave };
}

/** A session of the command's own: of processes, and of keys. */
export function startSession(ops: Builder, name: string): void {
  // Without one of its own, the command could push input into the caller's terminal (CVE-2017-5226).
  ops.op('new_session', {}, 'default: session');
  // And use the caller's keys. Where keyctl(2) is denied to us, it is to the command. EDQUOT: an ordinary user has 200
  // keys; the containers beyond those are kept from the caller's by the default seccomp profile alone.
  ops.op('new_keyring', { name: `runts-${name}` }, 'default: keyring', { unless: ['ENOSYS', 'EPERM', 'EDQUOT'] });
}

/** Gives the command its descriptors 0 to 2. */
export function setStdio(ops: Builder, stdio: Stdio, terminal: Terminal | undefined): void {
  if (terminal !== undefined) ops.op('controlling_terminal', { src: terminal.slave }, '/process/terminal');
  ops.op('stdio', { ...stdio }, 'default: stdio');
}

/** For chown(2): leave the group. */
const noId = 0xffffffff;

/** Lets a command that is not root open /dev/stdout and its terminal again. Only for files of our own making. */
export function ownStdio(ops: Builder, stdio: Stdio, terminal: Terminal | undefined, { uid }: Identity): void {
  if (uid === 0) return;
  const origin = '/process/user/uid';
  const sources = new Set(terminal === undefined ? [stdio.stdin, stdio.stdout, stdio.stderr] : [terminal.slave]);
  // EPERM: made by an owner that is not mapped, root of the host; that one gives them away itself.
  for (const src of sources) ops.op('own', { src, uid, gid: noId }, origin, { unless: ['EPERM'] });
}
