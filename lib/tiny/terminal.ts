import type { Terminal } from '../cli/world.ts';
import type { Handle } from '../host/host.ts';
import { openHandle } from './handle.ts';
import { block, forget, readable, type Watched, watch, writable } from './loop.ts';
import { hear } from './signals.ts';
import { call, errno } from './system.ts';

const getMode = 0x5401; // TCGETS
const setMode = 0x5403; // TCSETSW: once all was shown
const getWindow = 0x5413;
const setWindow = 0x5414;
const modeBytes = 60;
const windowChange = [28]; // SIGWINCH
const chunkBytes = 64 * 1024;

const isTerminal = (fd: number): boolean => call.ioctl(fd, getMode, new Uint8Array(modeBytes)) === 0;

/** Looked at when the command begins: the program is made before, of a memory that has no terminal. */
export function openTerminal(): Terminal {
  const [input, output, errors] = [isTerminal(0), isTerminal(1), isTerminal(2)];
  return {
    input,
    output,
    errors,
    any: input || output || errors,
    size() {
      const fields = new Uint16Array(4);
      const shown = output ? 1 : errors ? 2 : -1;
      if (call.ioctl(shown, getWindow, new Uint8Array(fields.buffer)) < 0) return { columns: 80, rows: 24 };
      return { columns: fields[1] || 80, rows: fields[0] || 24 };
    },
    join: (master) => join(master, { input, output }),
  };
}

function join(master: Handle, ours: Pick<Terminal, 'input' | 'output'>): ReturnType<Terminal['join']> {
  const { fd } = openHandle(master, 'terminal');
  call.fcntl(fd, 4, 0o4002); // F_SETFL: O_RDWR | O_NONBLOCK; the slave has a file of its own and does not notice
  const released = ours.input ? raw() : (): void => {};
  const stopResizing = ours.output ? follow(fd) : (): void => {};
  let stop = (): void => {};
  const done = new Promise<void>((resolve) => {
    const pumps = connect(fd, ours.input, () => stop());
    stop = () => {
      for (const pump of pumps) forget(pump);
      master.close();
      resolve();
    };
  });
  return {
    done,
    release() {
      stopResizing();
      released();
      stop();
    },
  };
}

/** Both directions; `hangUp` at the end of either terminal. */
function connect(fd: number, input: boolean, hangUp: () => void): Watched[] {
  let unsent = new Uint8Array(0);
  let over = false;
  const fromUs = watch(0, readable, () => {
    const bytes = new Uint8Array(chunkBytes);
    const n = call.read(0, bytes, bytes.length);
    if (n === -errno.again || n === -errno.intr) return;
    if (n <= 0) {
      over = true;
      fromUs.events = 0;
      // Ours is gone, and so is the one inside: the kernel tells the command by SIGHUP.
      if (input || n < 0) hangUp();
      return;
    }
    unsent = bytes.slice(0, n);
    flush();
  });
  const flush = (): void => {
    const n = unsent.length === 0 ? 0 : call.write(fd, unsent, unsent.length);
    if (n !== -errno.again) unsent = n < 0 ? new Uint8Array(0) : unsent.slice(n);
    // What the other side does not read waits here, and more is not asked for.
    const full = unsent.length > 0;
    if (!over) fromUs.events = full ? 0 : readable;
    toThem.events = full ? readable | writable : readable;
  };
  const toThem = watch(fd, readable, (events) => {
    if (events & writable) flush();
    if (!(events & readable)) return;
    const bytes = new Uint8Array(chunkBytes);
    const n = call.read(fd, bytes, bytes.length);
    if (n === -errno.again || n === -errno.intr) return;
    // EIO is how a master says that nobody has the slave open any more.
    if (n <= 0 || !show(bytes.subarray(0, n))) hangUp();
  });
  return [fromUs, toThem];
}

/** False where nobody sees it. */
function show(bytes: Uint8Array): boolean {
  for (let left = bytes; left.length > 0; ) {
    const n = call.write(1, left, left.length);
    if (n === -errno.again) block(1, writable);
    else if (n < 0) return false;
    else left = left.subarray(n);
  }
  return true;
}

/** Raw: every key goes inside, Ctrl-C too; the terminal in there makes of it what it does. As cfmakeraw(3). */
function raw(): () => void {
  const before = new Uint8Array(modeBytes);
  if (call.ioctl(0, getMode, before) < 0) return () => {};
  const mode = before.slice();
  const flags = new DataView(mode.buffer);
  const without = (offset: number, bits: number): void =>
    flags.setUint32(offset, flags.getUint32(offset, true) & ~bits, true);
  without(0, 0o2753); // IGNBRK, BRKINT, PARMRK, ISTRIP, INLCR, IGNCR, ICRNL, IXON
  without(4, 0o1); // OPOST
  without(8, 0o460); // CSIZE, PARENB
  flags.setUint32(8, flags.getUint32(8, true) | 0o60, true); // CS8
  without(12, 0o100113); // ECHO, ECHONL, ICANON, ISIG, IEXTEN
  mode[17 + 5] = 0; // VTIME
  mode[17 + 6] = 1; // VMIN
  call.ioctl(0, setMode, mode);
  return () => void call.ioctl(0, setMode, before);
}

/** Every change of our window's size, and the size that it has. */
function follow(fd: number): () => void {
  const resize = (): void => {
    const window = new Uint8Array(8);
    if (call.ioctl(1, getWindow, window) === 0) call.ioctl(fd, setWindow, window);
  };
  resize();
  return hear(windowChange, resize);
}
