import { accessSync, constants, statSync } from 'node:fs';
import { join } from 'node:path';

const directories = ['/usr/bin', '/usr/local/bin', '/bin', '/usr/sbin', '/usr/local/sbin', '/sbin'];

/**
 * The absolute path of a program of the host, in directories that only root writes to. Not by PATH: what is found is
 * run with the right to hand out user ids.
 */
export function findProgram(name: string): string | undefined {
  return directories.map((directory) => join(directory, name)).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}
