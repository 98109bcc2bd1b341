import type { World } from '../cli/world.ts';
import { RuntsError } from '../errors.ts';
import type { Host } from '../host/host.ts';
import { systemError } from '../node/failure.ts';
import { observed } from '../node/observed.ts';
import { appendTo } from './files.ts';
import { needsNode } from './hand-over.ts';
import { createHost } from './host.ts';
import { block, readable, writable } from './loop.ts';
import { passedOn } from './null-device.ts';
import { onSignal } from './signals.ts';
import { bytesOf, call, errno, must, system, textOf, variable } from './system.ts';
import { openTerminal } from './terminal.ts';

/** What the build was made of; scripts/tiny.ts puts it in. */
declare const BUILD: { readonly version: string; readonly commit: string | undefined };

/** No configuration is longer. */
const inputBytesMax = 16 * 1024 * 1024;

/** What is asked for in the middle of something is not handed over: nobody would undo what was done. */
function missing(what: string): never {
  throw needsNode(what);
}

/** The command line's world without Node. */
export function createWorld(): World {
  let host: Host | undefined;
  let listener: ((line: string) => void) | undefined;
  return {
    get host() {
      host ??= listener === undefined ? createHost() : observed(createHost(), listener);
      return host;
    },
    images: { open: async () => missing('an image') },
    imageVerbs: async () => missing('a command about images'),
    volumes: {
      newName: () => missing('a volume'),
      open: async () => missing('a volume'),
      forget: async () => missing('a volume'),
      mountAgain: async () => missing('a volume'),
    },
    volumeVerbs: async () => missing('a command about volumes'),
    name: system.argv[0]?.split('/').pop() || 'runts',
    version: BUILD.version,
    commit: () => BUILD.commit,
    variable,
    time: () => new Date().toISOString(),
    print: (text) => print(1, text),
    printError: (text) => print(2, text),
    append: appendTo,
    input: async () => input(),
    trace(hear) {
      listener = hear;
    },
    stdio: () => [passedOn(0), passedOn(1), passedOn(2)],
    terminal: openTerminal(),
    onSignal,
  };
}

/** What the output has come to: 0 while all of it was written. */
export let outputStatus = 0;
/** As a shell shows the end by SIGPIPE. */
const brokenPipe = 128 + 13;

function print(fd: number, text: string): void {
  for (let left = bytesOf(text); left.length > 0; ) {
    const n = call.write(fd, left, left.length);
    if (n >= 0) left = left.subarray(n);
    else if (n === -errno.again) block(fd, writable);
    else if (n !== -errno.intr) {
      // A reader that has had enough (`| head`) and a terminal that was closed need not be told.
      outputStatus = n === -errno.pipe ? brokenPipe : 125;
      const why = systemError(-n, 'write').message;
      if (fd !== 2 && n !== -errno.pipe && n !== -errno.io) print(2, `runts: cannot write the output: ${why}\n`);
      return;
    }
  }
}

function input(): string {
  let bytes = new Uint8Array(64 * 1024);
  for (let length = 0; ; ) {
    const room = bytes.subarray(length);
    const n = call.read(0, room, room.length);
    if (n === -errno.again) block(0, readable);
    else if (must(n, 'read', 'standard input') === 0) return textOf(bytes, length);
    length += Math.max(n, 0);
    if (length > inputBytesMax) {
      throw new RuntsError('ERR_SPEC', `standard input has more than ${inputBytesMax} bytes`);
    }
    if (length < bytes.length) continue;
    const larger = new Uint8Array(bytes.length * 2);
    larger.set(bytes);
    bytes = larger;
  }
}
