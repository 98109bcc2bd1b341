import { readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { isatty } from 'node:tty';
import type { Terminal, World } from '../cli/world.ts';
import type { Handle, Host } from '../host/host.ts';
import type { ImagePort } from '../host/image.ts';
import { orThrow } from './failure.ts';
import { createHost } from './host.ts';
import { native, packageRoot } from './native.ts';
import { openTerminal } from './terminal.ts';

/** The command line's world over Node. */
export function createWorld(): World {
  let host: Host | undefined;
  process.stdout.on('error', cannotWrite);
  // There is nowhere left to say it.
  process.stderr.on('error', () => {});
  return {
    get host() {
      host ??= createHost();
      return host;
    },
    images,
    get version() {
      return JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')).version;
    },
    print: (text) => void process.stdout.write(text),
    printError: (text) => void process.stderr.write(text),
    stdio: () => [duplicate(0), duplicate(1), duplicate(2)],
    terminal,
    onSignal,
  };
}

/** Archives want compression, digests and streams, which take longer to load than a container to start. */
const images: ImagePort = {
  async open(path) {
    const { imageArchives } = await import('../images/port.ts');
    return imageArchives.open(path);
  },
};

const duplicate = (fd: number): Handle => orThrow(native.duplicate(fd), `descriptor ${fd}`);

// ---- the end ---------------------------------------------------------------------------------------------------------

/** A reader that has had enough (`| head`) and a terminal that was closed need not be told. */
function cannotWrite({ code, message }: NodeJS.ErrnoException): void {
  process.exitCode = 125;
  if (code !== 'EPIPE' && code !== 'EIO') process.stderr.write(`runts: cannot write the output: ${message}\n`);
}

const terminals = [0, 1, 2].filter((fd) => isatty(fd));

/** Ends this process with an exit code, once the event loop has nothing more to do. */
export function leave(code: number): void {
  process.exitCode ||= code;
  // Node, at its end, aborts when it cannot set a terminal back; one that is gone has sent us SIGHUP.
  if (terminals.some((fd) => !isatty(fd))) process.kill(process.pid, 'SIGHUP');
}

// ---- signals ---------------------------------------------------------------------------------------------------------

/** What a person or a supervisor sends to the command. Not SIGWINCH: the size of a terminal is told otherwise. */
const forwarded = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2', 'SIGCONT', 'SIGALRM'] as const;

function onSignal(listener: (signal: number) => void): () => void {
  const listeners = forwarded.map((name) => [name, () => listener(constants.signals[name])] as const);
  for (const [name, hear] of listeners) process.on(name, hear);
  return () => {
    for (const [name, hear] of listeners) process.off(name, hear);
  };
}

// ---- the terminal ----------------------------------------------------------------------------------------------------

const terminal: Terminal = {
  get input() {
    return process.stdin.isTTY === true;
  },
  any: terminals.length > 0,
  size() {
    const { columns, rows } = [process.stdout, process.stderr].find(({ isTTY }) => isTTY) ?? { columns: 80, rows: 24 };
    return { columns, rows };
  },
  join(master) {
    const stream = openTerminal(master);
    const { stdin, stdout } = process;
    const resize = (): void => stream.resize(terminal.size());
    // What nobody can see any more is let go: a command that waits for us to read would wait for ever.
    const discard = (): void => void stream.resume();
    const ignore = (): void => {};
    const done = new Promise<void>((resolve) => {
      stream.once('close', resolve);
      stream.once('error', () => resolve());
    });
    stdin.on('error', ignore);
    if (stdin.isTTY) {
      // Raw: every key goes inside, Ctrl-C too; the terminal in there makes of it what it does. Node's part remembers how
      // it was before. That a terminal cannot be set means that it is gone, which its streams find out by themselves.
      stdin.setRawMode(true);
      native.rawTerminal(0);
    }
    stdin.pipe(stream, { end: false });
    stdout.on('error', discard);
    stream.pipe(stdout, { end: false });
    if (stdout.isTTY) {
      stdout.on('resize', resize);
      resize();
    }
    return {
      done,
      release() {
        stdout.off('resize', resize);
        stdout.off('error', discard);
        stdin.unpipe(stream);
        stdin.pause();
        if (stdin.isTTY) stdin.setRawMode(false);
        stream.destroy();
      },
    };
  },
};
