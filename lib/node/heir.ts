import { join } from 'node:path';
import type { Heir } from '../host/heir.ts';
import { packageRoot } from './native.ts';

/** What finds directories, programs and buses; the rest of our environment is nobody's business. */
const kept = ['PATH', 'HOME', 'TMPDIR', 'XDG_RUNTIME_DIR', 'XDG_DATA_HOME', 'DBUS_SESSION_BUS_ADDRESS'];

/** A Node of its own that runs a file of bin/ with a word to say what for. */
export function nodeHeir(file: string, word: string): Heir {
  const env = kept.flatMap((name) => (process.env[name] === undefined ? [] : [`${name}=${process.env[name]}`]));
  return { file: process.execPath, argv: [process.execPath, join(packageRoot(), 'bin', file), word], env };
}
