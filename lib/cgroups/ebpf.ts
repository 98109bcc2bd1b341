import type { DeviceRule } from '../spec/types.ts';

// BPF_DEVCG_* of linux/bpf.h.
const types = { b: 1, c: 2, u: 2 } as const;
const accesses = { m: 1, r: 2, w: 4 } as const;

/** The fields of struct bpf_cgroup_dev_ctx, which the first argument points to. */
const context = { accessAndType: 0, major: 4, minor: 8 } as const;

// Registers: result, context, and what is asked for, taken apart.
const r = { result: 0, context: 1, type: 2, access: 3, major: 4, minor: 5 } as const;

// Operation codes of linux/bpf_common.h and linux/bpf.h, put together.
const code = {
  load: 0x61, // BPF_LDX | BPF_MEM | BPF_W
  move: 0xbf, // BPF_ALU64 | BPF_MOV | BPF_X
  set: 0xb7, // BPF_ALU64 | BPF_MOV | BPF_K
  and: 0x54, // BPF_ALU | BPF_AND | BPF_K
  shiftRight: 0x74, // BPF_ALU | BPF_RSH | BPF_K
  unlessEqual: 0x56, // BPF_JMP32 | BPF_JNE | BPF_K
  unlessZero: 0x55, // BPF_JMP | BPF_JNE | BPF_K
  ifAny: 0x45, // BPF_JMP | BPF_JSET | BPF_K
  jump: 0x05, // BPF_JMP | BPF_JA
  exit: 0x95, // BPF_JMP | BPF_EXIT
} as const;

interface Instruction {
  readonly code: number;
  readonly dst?: number;
  readonly src?: number;
  readonly offset?: number;
  readonly value?: number;
}

/**
 * Compiles rules about devices, of which the last that fits decides, into a program of the type
 * BPF_PROG_TYPE_CGROUP_DEVICE. Each of reading, writing and making a node is decided by itself, as the old device
 * controller did: the rules are gone through from the last to the first, until nothing of what was asked is undecided.
 * What no rule speaks of is denied.
 */
export function deviceProgram(rules: readonly DeviceRule[]): Uint8Array {
  const program: Instruction[] = [
    { code: code.load, dst: r.type, src: r.context, offset: context.accessAndType },
    { code: code.move, dst: r.access, src: r.type },
    { code: code.and, dst: r.type, value: 0xffff },
    { code: code.shiftRight, dst: r.access, value: 16 },
    { code: code.load, dst: r.major, src: r.context, offset: context.major },
    { code: code.load, dst: r.minor, src: r.context, offset: context.minor },
  ];
  for (const rule of [...rules].reverse()) program.push(...decide(rule));
  program.push(...answer(0));
  return assemble(program);
}

function decide(rule: DeviceRule): Instruction[] {
  const access = accessBits(rule.access);
  const verdict = rule.allow ? allowed(access) : denied(access);
  const conditions: (readonly [register: number, value: number])[] = [];
  if (rule.type === 'b' || rule.type === 'c' || rule.type === 'u') conditions.push([r.type, types[rule.type]]);
  if (!isAny(rule.major)) conditions.push([r.major, rule.major as number]);
  if (!isAny(rule.minor)) conditions.push([r.minor, rule.minor as number]);
  return [
    ...conditions.map(([dst, value], i) => {
      const offset = conditions.length - i - 1 + verdict.length;
      return { code: code.unlessEqual, dst, value, offset };
    }),
    ...verdict,
  ];
}

/** What is allowed need not be asked about any more; with nothing left, all of it is. */
function allowed(access: number): Instruction[] {
  return [
    { code: code.and, dst: r.access, value: ~access },
    { code: code.unlessZero, dst: r.access, value: 0, offset: 2 },
    ...answer(1),
  ];
}

/** One thing that is denied denies the whole. */
function denied(access: number): Instruction[] {
  return [{ code: code.ifAny, dst: r.access, value: access, offset: 1 }, { code: code.jump, offset: 2 }, ...answer(0)];
}

const answer = (value: 0 | 1): Instruction[] => [{ code: code.set, dst: r.result, value }, { code: code.exit }];

const isAny = (value: number | undefined) => value === undefined || value === -1;

function accessBits(access = 'rwm'): number {
  return (['r', 'w', 'm'] as const).reduce(
    (bits, letter) => (access.includes(letter) ? bits | accesses[letter] : bits),
    0,
  );
}

/** struct bpf_insn: eight bytes each. */
function assemble(program: readonly Instruction[]): Uint8Array {
  const bytes = new Uint8Array(program.length * 8);
  const view = new DataView(bytes.buffer);
  program.forEach(({ code, dst = 0, src = 0, offset = 0, value = 0 }, i) => {
    view.setUint8(i * 8, code);
    view.setUint8(i * 8 + 1, dst | (src << 4));
    view.setInt16(i * 8 + 2, offset, true);
    view.setInt32(i * 8 + 4, value | 0, true);
  });
  return bytes;
}
