import { RuntsError } from '../errors.ts';
import { systemError } from '../node/failure.ts';
import { sleep } from './loop.ts';
import { bytesOf, call, errno, must, scratch, system, textOf } from './system.ts';

export const readBytesMax = 16 * 1024 * 1024;
/** How long a pipe may say nothing, and how often it is asked. */
const pipe = { patienceMs: 3000, pauseMs: 10 } as const;

/** To the end, wherever that is: files of procfs have no size. */
export async function readWhole(fd: number, maxBytes: number, path: string): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for (let waitedMs = 0; ; ) {
    const n = call.read(fd, scratch, scratch.length);
    if (n === 0) return parts.length === 1 ? (parts[0] as Uint8Array) : joined(parts, length);
    if (n === -errno.again) {
      if (waitedMs >= pipe.patienceMs) throw silent(path);
      await sleep(pipe.pauseMs);
      waitedMs += pipe.pauseMs;
      continue;
    }
    waitedMs = 0;
    length += must(n, 'read');
    parts.push(scratch.slice(0, n));
    if (length > maxBytes) {
      throw new RuntsError('ERR_UNSUPPORTED', `${path} is larger than the ${maxBytes} bytes that are read of it`);
    }
  }
}

function joined(parts: readonly Uint8Array[], length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

function silent(path: string): RuntsError {
  const cause = systemError(errno.again, 'read');
  return new RuntsError('ERR_TIMEOUT', `${path} is a pipe or a terminal, and nothing came from it`, { cause });
}

/** Every character as it was meant, or none: a byte order mark stays, for the reader to refuse. */
export function strictText(bytes: Uint8Array, path: string): string {
  if (system.isUtf8(bytes)) return textOf(bytes);
  throw new RuntsError('ERR_SPEC', `${path} is not UTF-8`, { hint: 'JSON is UTF-8: write it again in that encoding.' });
}

/** One write(2): the files of cgroupfs and procfs need it so. */
export function writeOnce(fd: number, text: string, path: string): void {
  const bytes = bytesOf(text);
  const n = must(call.write(fd, bytes, bytes.length), 'write', path);
  if (n !== bytes.length) throw systemError(errno.io, 'write', path);
}

/** As many as it takes. */
export function writeWhole(fd: number, text: string, path: string): void {
  let bytes = bytesOf(text);
  while (bytes.length > 0) bytes = bytes.subarray(must(call.write(fd, bytes, bytes.length), 'write', path));
}

/** The names in an open directory, in order. */
export function namesIn(fd: number, path: string): string[] {
  const fields = new DataView(scratch.buffer);
  const names: string[] = [];
  for (;;) {
    const n = must(call.getdents64(fd, scratch, scratch.length), 'scandir', path);
    if (n === 0) return names.sort();
    for (let at = 0; at < n; at += fields.getUint16(at + 16, true)) {
      const start = at + 19;
      const name = textOf(scratch.subarray(start, scratch.indexOf(0, start)));
      if (name !== '.' && name !== '..') names.push(name);
    }
  }
}
