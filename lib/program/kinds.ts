/** What the table of ops is written in: the kinds of operands, and the numbers that each may be. */

/**
 * Operand kinds.
 * - `int`: an unsigned number up to `max`; `flags`: a set of bits within `max`
 * - `in`: a register that an earlier op, or the host, has filled; `maybe`: the same, or none; `out`: a register to fill
 * - `text`: a string without NUL; `texts`: a list of them; `bytes`: a blob; `ins`: a list of registers
 */
export type Kind = 'int' | 'flags' | 'in' | 'maybe' | 'out' | 'text' | 'texts' | 'bytes' | 'ins';

export interface Operand {
  readonly kind: Kind;
  /** For `int` the largest value, for `flags` the bits that may be set. */
  readonly max?: bigint;
}

export interface OpRow {
  readonly doc: string;
  readonly operands: Readonly<Record<string, Operand>>;
  /** Takes a path of the host: not allowed once `pivot` has run. */
  readonly host?: true;
  /** A skip must not jump over it: the host, or another process, takes part in it. */
  readonly barrier?: true;
  /** Ends the program. */
  readonly end?: true;
}

export const u64 = (1n << 64n) - 1n;
export const u32 = (1n << 32n) - 1n;
export const int = (max = u32) => ({ kind: 'int', max }) as const;
export const flags = (max: bigint) => ({ kind: 'flags', max }) as const;
export const flag = int(1n);
export const input = { kind: 'in' } as const;
export const maybe = { kind: 'maybe' } as const;
export const out = { kind: 'out' } as const;
export const text = { kind: 'text' } as const;
export const texts = { kind: 'texts' } as const;
export const bytes = { kind: 'bytes' } as const;
export const ins = { kind: 'ins' } as const;
export const mode = int(0o7777n);
/** MOUNT_ATTR_*: RDONLY NOSUID NODEV NOEXEC, the three atime bits, NODIRATIME, NOSYMFOLLOW. */
export const attributes = flags(0x2000ffn);
/** CLONE_NEW*. */
export const namespaces = flags(0x7e020080n);
export const capabilitySet = flags((1n << 41n) - 1n);
/** MS_SHARED, MS_SLAVE, MS_PRIVATE, MS_UNBINDABLE. */
export const propagation = flags(0x1e0000n);

/** What an operand of a kind is given as: registers by name. */
export type ValueOf<K extends Kind> = K extends 'int' | 'flags'
  ? number | bigint
  : K extends 'in' | 'out' | 'text'
    ? string
    : K extends 'maybe'
      ? string | undefined
      : K extends 'texts' | 'ins'
        ? readonly string[]
        : Uint8Array;
