import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { isAbsolute, join } from 'node:path';

export interface User {
  readonly uid: number;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/**
 * Where state of containers is kept: gone after a reboot, as containers are. Whoever makes a directory below the last
 * resort, in a directory that everybody can write to, must check its owner.
 */
export function stateDirectory({ uid, env }: User): string {
  const runtime = env['XDG_RUNTIME_DIR'];
  if (runtime !== undefined && isAbsolute(runtime)) return join(runtime, 'runts');
  if (uid === 0) return '/run/runts';
  const login = `/run/user/${uid}`;
  return existsSync(login) ? join(login, 'runts') : join(tmpdir(), `runts-${uid}`);
}

/** Where images and unpacked root file systems are kept: they are large, and stay over a reboot. */
export function dataDirectory({ uid, env }: User): string {
  const data = env['XDG_DATA_HOME'];
  if (data !== undefined && isAbsolute(data)) return join(data, 'runts');
  if (uid === 0) return '/var/lib/runts';
  const home = env['HOME'];
  return home !== undefined && isAbsolute(home)
    ? join(home, '.local/share/runts')
    : join(tmpdir(), `runts-data-${uid}`);
}
