import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { exampleSpec } from '../../lib/spec/example.ts';
import { busyboxRoot, temporaryDirectory } from '../support/rootfs.ts';
import { type Options, runts, runtsDetached, startRunts } from './runts.ts';

// biome-ignore lint/suspicious/noExplicitAny: a document that tests change at will.
export type Config = any;

/** Whether we are an ordinary user, whose containers have a user namespace. */
export const ordinary = process.getuid?.() !== 0;

/** A state directory, a root file system and bundles in it; everything goes with `remove`. */
export function bundles() {
  const root = busyboxRoot();
  const directory = temporaryDirectory();
  const state = join(directory.path, 'state');
  const withRoot = (args: readonly string[]) => ['--root', state, ...args];
  return {
    path: directory.path,
    state,
    /** A bundle whose command is this, changed. */
    make(name: string, args: readonly string[], change: (config: Config) => void = () => {}): string {
      const path = join(directory.path, name);
      mkdirSync(path, { recursive: true });
      const config: Config = exampleSpec({
        hostname: 'box',
        cgroupNamespace: false,
        ...(ordinary && { rootless: { uid: process.getuid!(), gid: process.getgid!() } }),
      });
      config.root = { path: root.path };
      Object.assign(config.process, { terminal: false, args, env: ['PATH=/bin', 'HOME=/root'] });
      change(config);
      writeFileSync(join(path, 'config.json'), JSON.stringify(config));
      return path;
    },
    /** The command line on this state directory. */
    runts: (args: readonly string[], options?: Options) => runts(withRoot(args), options),
    /** The same where a container stays when it ends: `create`, `run -d`. */
    detached: (args: readonly string[], options?: Omit<Options, 'input'>) => runtsDetached(withRoot(args), options),
    start: (args: readonly string[], options?: Omit<Options, 'input'>) => startRunts(withRoot(args), options),
    async remove(): Promise<void> {
      const { stdout } = await runts(withRoot(['list', '-q']));
      for (const id of stdout.split('\n').filter((line) => line !== '')) await runts(withRoot(['delete', '-f', id]));
      root.remove();
      directory.remove();
    },
  };
}

export type Bundles = ReturnType<typeof bundles>;
