import { RuntsError } from '../errors.ts';
import type { Host } from './host.ts';

/**
 * Refuses a directory that another user could put something into: the links and names in it would lead us to files of
 * their choosing, to lock, to remove, to unpack to. `sudo` may keep another user's XDG_RUNTIME_DIR, and anybody can be
 * first to make a name in /tmp.
 */
export async function mustBePrivate(host: Host, path: string, what: string): Promise<void> {
  if (await host.files.isPrivate(path)) return;
  throw new RuntsError('ERR_SETUP', `cannot use ${path} as ${what}: it is another user's, or others may write to it`, {
    hint: 'Choose a directory of your own with XDG_RUNTIME_DIR and XDG_DATA_HOME, or correct its owner and mode (0700).',
  });
}
