import { type ChildProcess, spawn } from 'node:child_process';
import { constants } from 'node:os';
import { isAbsolute } from 'node:path';
import type { Readable } from 'node:stream';
import { RuntsError } from '../errors.ts';
import type { RunOptions, RunResult } from '../host/host.ts';

const outputBytesMax = 64 * 1024;

/** Runs a program of the host to its end, with an empty environment. Output past 64 KiB a stream is let go. */
export async function run(
  file: string,
  args: readonly string[],
  { input = '', environment = [], cwd = '/', name }: RunOptions = {},
): Promise<RunResult> {
  if (!isAbsolute(file))
    throw new RuntsError('ERR_SPEC', `${JSON.stringify(file)} is not an absolute path of a program`);
  const child = spawn(file, [...args], { env: {}, cwd, stdio: 'pipe', ...(name !== undefined && { argv0: name }) });
  const ended = new Promise<number>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])));
  });
  const [stdout, stderr] = [collect(child.stdout as Readable), collect(child.stderr as Readable)];
  give(child, input);
  void environment;
  return { code: await ended, timedOut: false, stdout: stdout(), stderr: stderr() };
}

/** A program need not read its input: what is left of it is nobody's error. */
function give(child: ChildProcess, input: string): void {
  child.stdin?.on('error', () => undefined);
  child.stdin?.end(input);
}

function collect(stream: Readable): () => string {
  const chunks: Buffer[] = [];
  let room = outputBytesMax;
  stream.on('data', (chunk: Buffer) => {
    if (room > 0) chunks.push(chunk.subarray(0, room));
    room -= chunk.length;
  });
  return () => Buffer.concat(chunks).toString();
}
