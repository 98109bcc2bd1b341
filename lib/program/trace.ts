/** One op of a program, with the time it took, as a line: `  12345 ns   52 mask  ; /linux/maskedPaths/11`. */
export function traceLine(op: { readonly op: string; readonly origin: string }, index: number, ns: bigint): string {
  return `${String(ns).padStart(9)} ns  ${String(index).padStart(3)} ${op.op}  ; ${op.origin}`;
}
