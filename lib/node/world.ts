import { readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import type { Terminal, World } from '../cli/world.ts';
import type { Handle } from '../host/host.ts';
import { imageArchives } from '../images/port.ts';
import { orThrow } from './failure.ts';
import { createHost } from './host.ts';
import { native, packageRoot } from './native.ts';
import { openTerminal } from './terminal.ts';

/** The command line's world over Node. */
export function createWorld(): World {
  return {
    host: createHost(),
    images: imageArchives,
    version: JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')).version,
    print: (text) => void process.stdout.write(text),
    printError: (text) => void process.stderr.write(text),
    stdio: () => [duplicate(0), duplicate(1), duplicate(2)],
    terminal,
    onSignal,
  };
}

const duplicate = (fd: number): Handle => orThrow(native.duplicate(fd), `descriptor ${fd}`);

/** What a person or a supervisor sends to the command. Not SIGWINCH: the size of a terminal is told otherwise. */
const forwarded = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2', 'SIGCONT', 'SIGALRM'] as const;

function onSignal(listener: (signal: number) => void): () => void {
  const listeners = forwarded.map((name) => [name, () => listener(constants.signals[name])] as const);
  for (const [name, hear] of listeners) process.on(name, hear);
  return () => {
    for (const [name, hear] of listeners) process.off(name, hear);
  };
}

const terminal: Terminal = {
  get present() {
    return process.stdin.isTTY === true;
  },
  size: () => ({ columns: process.stdout.columns ?? 80, rows: process.stdout.rows ?? 24 }),
  join(master) {
    const stream = openTerminal(master);
    const { stdin, stdout } = process;
    const resize = (): void => stream.resize(terminal.size());
    const done = new Promise<void>((resolve) => {
      stream.once('close', resolve);
      stream.once('error', () => resolve());
    });
    // Raw: every key goes inside, Ctrl-C too; the terminal in there makes of it what it does.
    if (stdin.isTTY) stdin.setRawMode(true);
    stdin.pipe(stream, { end: false });
    stream.pipe(stdout, { end: false });
    if (stdout.isTTY) {
      stdout.on('resize', resize);
      resize();
    }
    return {
      done,
      release() {
        stdout.off('resize', resize);
        stdin.unpipe(stream);
        stdin.pause();
        if (stdin.isTTY) stdin.setRawMode(false);
        stream.destroy();
      },
    };
  },
};
