import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { patience } from '../support/patience.ts';

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** What an addon that was built with a sanitizer needs (npm run test:asan). */
const sanitizer = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => ['LD_PRELOAD', 'ASAN_OPTIONS', 'UBSAN_OPTIONS'].includes(name)),
);

export interface FixtureOptions {
  readonly flags?: readonly string[];
  readonly uid?: number;
  readonly timeoutMs?: number;
  /** What it has at descriptors 3, 4, …. */
  readonly descriptors?: readonly number[];
}

/** Runs a file of fixtures/ in a node of its own, and gives what it printed last, as JSON; what it said when it failed. */
export async function runFixture(
  name: string,
  { flags = [], uid, timeoutMs = 25_000 * patience, descriptors = [] }: FixtureOptions = {},
): Promise<unknown> {
  const args = [...flags, '--import', here('../support/typescript.mjs'), here(`fixtures/${name}.ts`)];
  const ids = uid === undefined ? {} : { uid, gid: uid };
  const child: ChildProcess = spawn(process.execPath, args, {
    ...ids,
    env: { PATH: process.env['PATH'], ...sanitizer },
    stdio: ['ignore', 'pipe', 'pipe', ...descriptors],
    timeout: timeoutMs,
  });
  const output = { stdout: '', stderr: '' };
  child.stdout?.on('data', (text) => (output.stdout += text));
  child.stderr?.on('data', (text) => (output.stderr += text));
  const [code, signal] = await new Promise<[number | null, string | null]>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (...how) => resolve(how));
  });
  if (code !== 0) throw new Error(`${name} ended with ${code ?? signal}:\n${output.stdout}${output.stderr}`);
  return JSON.parse(output.stdout.trim().split('\n').at(-1) ?? 'null');
}
