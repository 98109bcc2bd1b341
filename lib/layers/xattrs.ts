import type { Xattrs } from './pax.ts';

/** Marks of union mounts (overlayfs, fuse-overlayfs) are ours to make, and nobody else's. */
const marks = ['user.overlay.', 'user.fuseoverlayfs.'];

/** Whether an extended attribute means something to a program in a container. */
export const isKeptAttribute = (key: string): boolean =>
  key === 'security.capability' || (key.startsWith('user.') && !marks.some((mark) => key.startsWith(mark)));

/** What is told of a file's extended attributes: those that are kept, capabilities as they are without a user namespace. */
export function keptAttributes(xattrs: Xattrs): Xattrs {
  if (xattrs.size === 0) return xattrs;
  const kept = [...xattrs].filter(([key]) => isKeptAttribute(key));
  return new Map(kept.map(([key, value]) => [key, key === 'security.capability' ? plainCapability(value) : value]));
}

const revisionMask = 0xff00_0000;
const revision2 = 0x0200_0000;
const revision3 = 0x0300_0000;
const bytesOf3 = 24;

/** The form with the owner of a user namespace (revision 3 of struct vfs_ns_cap_data) as the one without. */
function plainCapability(value: string): string {
  const bytes = Buffer.from(value, 'latin1');
  if (bytes.length !== bytesOf3) return value;
  const magic = bytes.readUInt32LE(0);
  if ((magic & revisionMask) >>> 0 !== revision3) return value;
  bytes.writeUInt32LE(((magic & ~revisionMask) | revision2) >>> 0, 0);
  return bytes.toString('latin1', 0, bytesOf3 - 4);
}
