/** MOUNT_ATTR_* of mount_setattr(2). */
export const attributes = {
  readonly: 0x1,
  nosuid: 0x2,
  nodev: 0x4,
  noexec: 0x8,
  /** One field of three bits: relatime is the value 0. */
  atime: 0x70,
  noatime: 0x10,
  strictatime: 0x20,
  nodiratime: 0x80,
  nosymfollow: 0x200000,
} as const;

/** MS_* of mount_setattr(2)'s propagation. */
export const propagations = {
  unbindable: 0x20000,
  private: 0x40000,
  slave: 0x80000,
  shared: 0x100000,
} as const;

export type PropagationWord = keyof typeof propagations;

/** What is to change about a mount. */
export interface Change {
  readonly set: number;
  readonly clear: number;
}

export const unchanged: Change = { set: 0, clear: 0 };

/** One change after another: the later word wins. (Not called `then`: a module that exports one is taken for a promise.) */
export function followedBy(first: Change, second: Change): Change {
  return { set: (first.set & ~second.clear) | second.set, clear: (first.clear & ~second.set) | second.clear };
}
