import { type ChildProcess, spawn } from 'node:child_process';
import fs from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { temporaryDirectory } from '../../support/unpacked.ts';

const root = fileURLToPath(new URL('../../..', import.meta.url));

/** The worker as a program over what was built: twenty of them are not to compile it twenty times. */
export async function compileWorker(): Promise<string> {
  const source = fs.readFileSync(join(root, 'test/images/store/fixtures/worker.ts'), 'utf8');
  const compilerOptions = { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022, verbatimModuleSyntax: true };
  const { outputText } = ts.transpileModule(source, { compilerOptions });
  const path = join(await temporaryDirectory(), 'worker.mjs');
  fs.writeFileSync(path, outputText.replace(/'[./]+\/lib\/(.*)\.ts'/g, `'${root}dist/lib/$1.js'`));
  return path;
}

export interface Worker {
  readonly process: ChildProcess;
  /** Fulfilled when it has said that. */
  said(word: string): Promise<void>;
  /** Its exit code, or the signal that ended it; what it complained of comes with it. */
  readonly ended: Promise<{ readonly code: number | string; readonly complaints: string }>;
}

/** Runs the worker, under another program if one is given. */
export function startWorker(path: string, args: readonly string[], under: readonly string[] = []): Worker {
  const [program, ...words] = [...under, process.execPath, path, ...args] as [string, ...string[]];
  // One thread for the file system, so that what it asks of the kernel comes in one order.
  const env = { ...process.env, UV_THREADPOOL_SIZE: '1' };
  const child = spawn(program, words, { stdio: ['ignore', 'pipe', 'pipe'], env });
  let complaints = '';
  let output = '';
  child.stderr.on('data', (text) => {
    complaints += text;
  });
  child.stdout.on('data', (text) => {
    output += text;
  });
  const ended = new Promise<{ code: number | string; complaints: string }>((resolve) => {
    child.once('close', (code, signal) => resolve({ code: code ?? signal ?? -1, complaints }));
  });
  return {
    process: child,
    ended,
    async said(word) {
      while (!output.includes(word)) {
        const over = await Promise.race([
          ended,
          new Promise<undefined>((next) => child.stdout.once('data', () => next(undefined))),
        ]);
        if (over !== undefined && !output.includes(word)) throw new Error(`it ended (${over.code}): ${complaints}`);
      }
    },
  };
}

/** Every file of a directory, by its path in it. */
export function filesBelow(directory: string): string[] {
  const entries = fs.readdirSync(directory, { withFileTypes: true, recursive: true });
  const files = entries.filter((entry) => entry.isFile());
  return files.map((entry) => join(entry.parentPath ?? dirname(entry.name), entry.name).slice(directory.length + 1));
}
