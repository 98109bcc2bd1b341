import { randomBytes } from 'node:crypto';
import { appendFileSync, readFileSync, writeSync } from 'node:fs';
import { constants } from 'node:os';
import { basename, join } from 'node:path';
import { isatty } from 'node:tty';
import type { Terminal, World } from '../cli/world.ts';
import { RuntsError } from '../errors.ts';
import type { Host } from '../host/host.ts';
import type { ImagePort } from '../host/image.ts';
import type { VolumePort } from '../host/volumes.ts';
import { createHost } from './host.ts';
import { native, packageRoot } from './native.ts';
import { passedOn } from './null-device.ts';
import { observed } from './observed.ts';
import { openTerminal } from './terminal.ts';

/** The command line's world over Node. */
export function createWorld(): World {
  let host: Host | undefined;
  let hear: ((line: string) => void) | undefined;
  const world: World = {
    get host() {
      host ??= hear === undefined ? createHost() : observed(createHost(), hear);
      return host;
    },
    images: imagesOf(() => world),
    async imageVerbs() {
      const { imageVerbs } = await import('../images/verbs.ts');
      return imageVerbs(world.host);
    },
    volumes: volumesOf(() => world),
    async volumeVerbs() {
      const { volumeVerbs } = await import('../volumes/verbs.ts');
      return volumeVerbs(world.host);
    },
    name: basename(process.argv[1] ?? 'runts').replace(/\.js$/, ''),
    get version() {
      return JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')).version;
    },
    commit,
    variable: (name) => process.env[name],
    time: () => new Date().toISOString(),
    print: (text) => print(1, text),
    printError: (text) => print(2, text),
    append: (path, text) => appendFileSync(path, text, { mode: 0o644 }),
    input,
    trace(listener) {
      hear = listener;
    },
    stdio: () => [passedOn(0), passedOn(1), passedOn(2)],
    terminal,
    onSignal,
  };
  return world;
}

/** Archives and registries want compression, digests and streams, which take longer to load than a container to start. */
const imagesOf = (world: () => World): ImagePort => ({
  async open(image, options) {
    const { shownImages } = await import('../images/verbs.ts');
    const { host, printError, terminal } = world();
    // The standard output is the command's.
    const show = { print: printError, style: terminal.errors ? 'bars' : 'lines', size: terminal.size } as const;
    return shownImages(host, show).open(image, options);
  },
});

/** They are loaded when a container has some. */
const volumesOf = (world: () => World): VolumePort => ({
  newName: () => randomBytes(32).toString('hex'),
  async open(request) {
    const { commandLinePort } = await import('../volumes/verbs.ts');
    return commandLinePort(world().host).open(request);
  },
  async forget(names) {
    const { commandLinePort } = await import('../volumes/verbs.ts');
    await commandLinePort(world().host).forget(names);
  },
  async mountAgain(request) {
    const { commandLinePort } = await import('../volumes/verbs.ts');
    return commandLinePort(world().host).mountAgain(request);
  },
});

/** Of a checkout; a package that was installed has none. */
function commit(): string | undefined {
  const directory = join(packageRoot(), '.git');
  try {
    const head = readFileSync(join(directory, 'HEAD'), 'utf8').trim();
    if (!head.startsWith('ref: ')) return head;
    const ref = head.slice('ref: '.length);
    return loose(directory, ref) ?? packed(directory, ref);
  } catch {
    return undefined;
  }
}

function loose(directory: string, ref: string): string | undefined {
  try {
    return readFileSync(join(directory, ref), 'utf8').trim();
  } catch {
    return undefined;
  }
}

function packed(directory: string, ref: string): string | undefined {
  const line = readFileSync(join(directory, 'packed-refs'), 'utf8')
    .split('\n')
    .find((each) => each.endsWith(` ${ref}`));
  return line?.split(' ')[0];
}

/** No configuration is longer. */
const inputBytesMax = 16 * 1024 * 1024;

async function input(): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > inputBytesMax) throw new RuntsError('ERR_SPEC', `standard input has more than ${inputBytesMax} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

// ---- output and the end ----------------------------------------------------------------------------------------------

/** As a shell shows the end by SIGPIPE, which Node ignores. */
const brokenPipe = 128 + constants.signals.SIGPIPE;

/**
 * Not by process.stdout and process.stderr: to open them makes a pipe non-blocking, and it is the very pipe that the
 * command writes to, which would then be told EAGAIN.
 */
function print(fd: number, text: string): void {
  let bytes = Buffer.from(text);
  while (bytes.length > 0) {
    try {
      bytes = bytes.subarray(writeSync(fd, bytes));
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      // Somebody else has made it non-blocking.
      if (code === 'EAGAIN') Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
      else {
        // A reader that has had enough (`| head`) and a terminal that was closed need not be told.
        process.exitCode = code === 'EPIPE' ? brokenPipe : 125;
        if (fd !== 2 && code !== 'EPIPE' && code !== 'EIO') print(2, `runts: cannot write the output: ${message}\n`);
        return;
      }
    }
  }
}

const terminals = [0, 1, 2].filter((fd) => isatty(fd));

/** Ends this process with an exit code, once the event loop has nothing more to do. */
export function leave(code: number): void {
  process.exitCode ||= code;
  // Node, at its end, aborts when it cannot set a terminal back; one that is gone has sent us SIGHUP.
  if (terminals.some((fd) => !isatty(fd))) process.kill(process.pid, 'SIGHUP');
}

// ---- signals ---------------------------------------------------------------------------------------------------------

/**
 * What a person or a supervisor sends to the command: all but those that are about us (SIGCHLD, SIGPIPE, SIGURG, SIGPROF),
 * SIGWINCH, since the size of a terminal is told otherwise, SIGTTIN and SIGTTOU, at which a read that is retried would be
 * retried forever, those that a fault of ours raises, and those that nobody can hear.
 */
const forwarded = [
  'SIGHUP',
  'SIGINT',
  'SIGQUIT',
  'SIGABRT',
  'SIGUSR1',
  'SIGUSR2',
  'SIGALRM',
  'SIGTERM',
  'SIGSTKFLT',
  'SIGCONT',
  'SIGTSTP',
  'SIGXCPU',
  'SIGVTALRM',
  'SIGIO',
  'SIGPWR',
  'SIGSYS',
] as const;

function onSignal(listener: (signal: number) => void): () => void {
  const listeners = forwarded.map((name) => [name, () => listener(constants.signals[name])] as const);
  for (const [name, hear] of listeners) process.on(name, hear);
  return () => {
    for (const [name, hear] of listeners) process.off(name, hear);
  };
}

// ---- the terminal ----------------------------------------------------------------------------------------------------

const terminal: Terminal = {
  input: terminals.includes(0),
  output: terminals.includes(1),
  errors: terminals.includes(2),
  any: terminals.length > 0,
  size() {
    const shown = terminals.includes(1) ? process.stdout : terminals.includes(2) ? process.stderr : undefined;
    return { columns: shown?.columns ?? 80, rows: shown?.rows ?? 24 };
  },
  join(master) {
    const stream = openTerminal(master);
    const { stdin, stdout } = process;
    const resize = (): void => stream.resize(terminal.size());
    // Our terminal is gone, and so is the one inside: the kernel tells the command by SIGHUP.
    const hangUp = (): void => void stream.destroy();
    const done = new Promise<void>((resolve) => {
      stream.once('close', resolve);
      stream.once('error', () => resolve());
    });
    stdin.on('error', hangUp);
    if (stdin.isTTY) {
      stdin.on('end', hangUp);
      // Raw: every key goes inside, Ctrl-C too; the terminal in there makes of it what it does. Node's part remembers how
      // it was before. That a terminal cannot be set means that it is gone, which its streams find out by themselves.
      stdin.setRawMode(true);
      native.rawTerminal(0);
    }
    stdin.pipe(stream, { end: false });
    stdout.on('error', hangUp);
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
