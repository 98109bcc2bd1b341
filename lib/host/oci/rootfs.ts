import { RuntsError } from '../../errors.ts';
import type { Spec } from '../../spec/types.ts';
import type { Host } from '../host.ts';
import { messageOf } from '../undo.ts';

/** The root file system of a bundle: a directory that is there, absolute. */
export async function rootDirectory(host: Host, { root }: Spec, bundle: string): Promise<string> {
  const path = root.path.startsWith('/') ? root.path : `${bundle}/${root.path}`;
  const origin = '/root/path';
  const kind = await host.files.kind(path).catch((error: unknown) => {
    throw new RuntsError('ERR_SPEC', `invalid rootfs ${path}: ${messageOf(error)}`, { origin, cause: error });
  });
  if (kind === 'directory') return path;
  const [code, why] =
    kind === undefined
      ? (['ERR_NOT_FOUND', 'no such file or directory'] as const)
      : (['ERR_SPEC', 'not a directory'] as const);
  throw new RuntsError(code, `invalid rootfs ${path}: ${why}`, { origin });
}
