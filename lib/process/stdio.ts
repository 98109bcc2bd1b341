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
  readonly master: string;
  readonly slave: string;
}

export interface TerminalPlaces {
  /** The register of the container's own devpts mount; undefined where it has none. */
  readonly devpts: string | undefined;
  /** Where /dev/console is to be; undefined for a terminal that is not the container's first. */
  readonly console: { readonly root: string; readonly path: string } | undefined;
  readonly size: WindowSize | undefined;
  /** What the command writes is not for a terminal to show, in the end. */
  readonly plain?: boolean | undefined;
}

/**
 * Opens a terminal of the container's own, and makes it /dev/console. By descriptors only: no path of the image is
 * trusted with it (CVE-2025-52565).
 */
export function openTerminal(ops: Builder, { devpts, console, size, plain }: TerminalPlaces): Terminal {
  const origin = '/process/terminal';
  if (devpts === undefined) {
    throw new RuntsError('ERR_UNSUPPORTED', 'a terminal needs a devpts of the container', {
      origin,
      hint: 'Add {"type": "devpts", "destination": "/dev/pts"} to the mounts.',
    });
  }
  const master = ops.register('master');
  const slave = ops.register('slave');
  ops.op('pty', { master, slave, devpts }, origin);
  if (size !== undefined && size.width > 0 && size.height > 0) {
    ops.op('window', { src: slave, columns: size.width, rows: size.height }, '/process/consoleSize');
  }
  if (plain) ops.op('plain_output', { src: slave }, 'option: plainOutput');
  if (console !== undefined) {
    const dst = ops.register('console');
    ops.op('clone_below', { dst, root: slave, path: '', recursive: 0 }, origin);
    ops.op('attach', { src: dst, ...console, ordinary: 0 }, origin);
  }
  return { master, slave };
}

/** A session of processes of the command's own: without, it could push input into the caller's terminal (CVE-2017-5226). */
export function startSession(ops: Builder, terminal: Terminal | undefined): void {
  ops.op('new_session', {}, 'default: session');
  if (terminal !== undefined) ops.op('controlling_terminal', { src: terminal.slave }, '/process/terminal');
}

/**
 * A session keyring of the container's own, which its later commands join by its name; without, the command could use
 * the caller's keys. Where keyctl(2) is denied to us, it is to the command. EDQUOT: an ordinary user has 200 keys; the
 * containers beyond those are kept from the caller's by the default seccomp profile alone.
 */
export function newKeyring(ops: Builder, id: string): void {
  ops.op('new_keyring', { name: `_ses.${id}` }, 'default: keyring', { unless: ['ENOSYS', 'EPERM', 'EDQUOT'] });
}

/** Gives the command its descriptors 0 to 2. */
export function setStdio(ops: Builder, stdio: Stdio): void {
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
