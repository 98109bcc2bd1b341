import { chmodSync, mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../../lib/index.ts';
import { defaultSpec } from '../../lib/spec/defaults.ts';
import type { Draft, Process, Spec } from '../../lib/spec/types.ts';
import { busyboxRoot, type TemporaryDirectory, temporaryDirectory } from '../support/rootfs.ts';

export type BundleSpec = Draft<Spec> & { process: Draft<Process> };

/** A place for bundles, with a root file system that is made anew for each. */
export interface Bundles extends TemporaryDirectory {
  /** Runs a script in a container of Docker's defaults, edited; `root` gets the root file system before it is used. */
  shell(script: string, edit?: (spec: BundleSpec) => void, root?: (path: string) => void): Promise<string>;
  /** A directory on the host beside the bundles, for this test only. */
  directory(): string;
}

export function bundles(): Bundles {
  const work = temporaryDirectory();
  const shell: Bundles['shell'] = async (script, edit = () => {}, root = () => {}) => {
    const path = mkdtempSync(join(work.path, 'bundle-'));
    const rootfs = busyboxRoot();
    try {
      const spec = defaultSpec() as BundleSpec;
      spec.root.path = rootfs.path;
      spec.process.args = ['sh', '-c', script];
      root(rootfs.path);
      edit(spec);
      writeFileSync(join(path, 'config.json'), JSON.stringify(spec));
      const { stdout } = await run({ bundle: path });
      return stdout;
    } finally {
      rootfs.remove();
    }
  };
  const directory = () => {
    const path = mkdtempSync(join(work.path, 'shared-'));
    // Its owner may be nobody inside.
    chmodSync(path, 0o755);
    mkdirSync(join(path, 'sub'));
    return path;
  };
  return { ...work, shell, directory };
}

/** The mount of a container at a path, from its /proc/self/mountinfo: the last one counts. */
export const mountOf = (path: string) => `awk '$5 == "${path}"' /proc/self/mountinfo | tail -1`;

/** Without a user namespace: for root. */
export function withoutUser(spec: BundleSpec): void {
  spec.linux.namespaces = spec.linux.namespaces.filter(({ type }) => type !== 'user');
}

/** Without one of the namespaces. */
export const without = (type: string) => (spec: BundleSpec) => {
  spec.linux.namespaces = spec.linux.namespaces.filter((namespace) => namespace.type !== type);
};
