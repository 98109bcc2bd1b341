import type { Spec } from '../../spec/types.ts';
import { resolveUser } from '../../spec/users.ts';
import type { Host } from '../host.ts';

/** Files of an image are hostile: no more of them is read. */
const accountsBytesMax = 1024 * 1024;

/** HOME where the configuration says nothing: what the container's own passwd(5) has for its user, or `/`. */
export async function withHome(host: Host, spec: Spec, rootfs: string): Promise<Spec> {
  const { process } = spec;
  if (process === undefined || hasHome(process.env ?? [])) return spec;
  const home = await homeOf(host, rootfs, process.user.uid);
  return { ...spec, process: { ...process, env: [...(process.env ?? []), `HOME=${home}`] } };
}

/** Whether an environment says where home is: the last word of it counts, and an empty one is none. */
export function hasHome(env: readonly string[]): boolean {
  const last = env.filter((entry) => entry.startsWith('HOME=')).pop();
  return last !== undefined && last !== 'HOME=';
}

export async function homeOf(host: Host, rootfs: string, uid: number): Promise<string> {
  const passwd = await host.files.readBelow(rootfs, 'etc/passwd', accountsBytesMax).catch(() => undefined);
  try {
    return resolveUser(`${uid}`, passwd, undefined).home;
  } catch {
    return '/';
  }
}
