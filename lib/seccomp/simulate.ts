import { RuntsError } from '../errors.ts';

/** A system call as a filter sees it. */
export interface SeccompData {
  readonly arch: number;
  readonly nr: number;
  readonly args?: readonly bigint[];
  readonly ip?: bigint;
}

export interface Run {
  /** What the filter returns to the kernel. */
  readonly value: number;
  /** How many instructions it took. */
  readonly steps: number;
}

function encodeData({ arch, nr, args = [], ip = 0n }: SeccompData): DataView {
  const view = new DataView(new ArrayBuffer(64));
  view.setUint32(0, nr, true);
  view.setUint32(4, arch, true);
  view.setBigUint64(8, ip, true);
  for (let i = 0; i < 6; i++) view.setBigUint64(16 + 8 * i, args[i] ?? 0n, true);
  return view;
}

const compare: Record<number, (a: number, k: number) => boolean> = {
  21: (a, k) => a === k,
  37: (a, k) => a > k,
  53: (a, k) => a >= k,
  69: (a, k) => (a & k) !== 0,
};

/** Runs a filter as the kernel would, and counts; whatever the kernel's checker would refuse throws. */
export function run(filter: Uint8Array, call: SeccompData): Run {
  const program = new DataView(filter.buffer, filter.byteOffset, filter.byteLength);
  const data = encodeData(call);
  let a = 0;
  let x = 0;
  let steps = 0;
  for (let pc = 0; pc * 8 < filter.length; ) {
    const code = program.getUint16(pc * 8, true);
    const k = program.getUint32(pc * 8 + 4, true);
    steps++;
    pc++;
    if (code === 0x06) return { value: k, steps };
    const test = compare[code];
    if (test !== undefined) pc += program.getUint8((pc - 1) * 8 + (test(a, k) ? 2 : 3));
    else if (code === 0x05) pc += k;
    else if (code === 0x20 && k % 4 === 0) a = data.getUint32(k, true);
    else if (code === 0x00) a = k;
    else if (code === 0x07) x = a;
    else if (code === 0x7c && x < 32) a = a >>> x;
    else if (code === 0x54) a = (a & k) >>> 0;
    else throw invalid(`instruction ${pc - 1}: code 0x${code.toString(16)} k ${k}`);
  }
  throw invalid('it ran past its end');
}

/** What a filter returns to the kernel for a system call. */
export function simulate(filter: Uint8Array, call: SeccompData): number {
  return run(filter, call).value;
}

const invalid = (why: string) => new RuntsError('ERR_INTERNAL', `a seccomp filter is invalid: ${why}`);
