import type { Spec } from '../../spec/types.ts';
import { resolveUser } from '../../spec/users.ts';
import type { Host } from '../host.ts';

/** Files of an image are hostile: no more of them is read. */
const accountsBytesMax = 1024 * 1024;

/** HOME where the configuration says nothing: what the container's own passwd(5) has for its user, or `/`. */
export async function withHome(host: Host, spec: Spec, rootfs: string): Promise<Spec> {
  const { process } = spec;
  if (process === undefined || (process.env ?? []).some((entry) => entry.startsWith('HOME='))) return spec;
  const home = await homeOf(host, rootfs, process.user.uid);
  return { ...spec, process: { ...process, env: [...(process.env ?? []), `HOME=${home}`] } };
}

export async function homeOf(host: Host, rootfs: string, uid: number): Promise<string> {
  const passwd = await host.files.readBelow(rootfs, 'etc/passwd', accountsBytesMax).catch(() => undefined);
  try {
    return resolveUser(`${uid}`, passwd, undefined).home;
  } catch {
    return '/';
  }
}
