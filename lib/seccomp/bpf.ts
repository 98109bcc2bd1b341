/** Offsets in `struct seccomp_data`, little-endian as all our machines are. */
export const offsets = {
  number: 0,
  arch: 4,
  argumentLow: (index: number) => 16 + 8 * index,
  argumentHigh: (index: number) => 20 + 8 * index,
} as const;

/** The comparisons of the accumulator with a constant: equal, greater or equal, any of these bits set. */
export type Test = 'eq' | 'ge' | 'set';

/**
 * A filter as a graph of decisions: each node is one instruction, and names the ones it may continue with. A node may
 * be reached from several places, and what does the same is emitted once; there can be no loops, as classic BPF has none.
 */
export type Node = Return | Inner;

interface Return {
  readonly kind: 'return';
  readonly value: number;
}

type Inner =
  | { readonly kind: 'load'; readonly offset: number; readonly next: Node }
  | { readonly kind: 'immediate'; readonly value: number; readonly next: Node }
  | { readonly kind: 'and'; readonly mask: number; readonly next: Node }
  | { readonly kind: 'remember'; readonly next: Node }
  | { readonly kind: 'shift'; readonly next: Node }
  | { readonly kind: 'branch'; readonly test: Test; readonly value: number; readonly yes: Node; readonly no: Node };

/** Ends the filter with what the kernel is to do. */
export const returns = (value: number): Node => ({ kind: 'return', value });

/** Puts a word of `struct seccomp_data` into the accumulator. */
export const load = (offset: number, next: Node): Node => ({ kind: 'load', offset, next });

/** Puts a constant into the accumulator. */
export const immediate = (value: number, next: Node): Node => ({ kind: 'immediate', value, next });

/** Keeps what is in the accumulator in the other register, too. */
export const remember = (next: Node): Node => ({ kind: 'remember', next });

/** Shifts the accumulator right by as many bits as were remembered: 31 at most, or machines differ. */
export const shift = (next: Node): Node => ({ kind: 'shift', next });

/** Keeps the mask's bits of the accumulator. */
export const and = (mask: number, next: Node): Node => ({ kind: 'and', mask, next });

/** Decides between two nodes. In a large filter `yes` is the cheaper to reach: it is laid out next to the branch. */
export function branch(test: Test, value: number, yes: Node, no: Node): Node {
  return alike(yes, no) ? yes : { kind: 'branch', test, value, yes, no };
}

/** Whether two nodes certainly do the same. */
export function alike(a: Node, b: Node): boolean {
  return a === b || (a.kind === 'return' && b.kind === 'return' && a.value === b.value);
}

/** The most instructions that the kernel takes (BPF_MAXINSNS). */
export const instructionsMax = 4096;

const codes = {
  load: 0x20, // BPF_LD | BPF_W | BPF_ABS
  immediate: 0x00, // BPF_LD | BPF_IMM
  and: 0x54, // BPF_ALU | BPF_AND | BPF_K
  remember: 0x07, // BPF_MISC | BPF_TAX
  shift: 0x7c, // BPF_ALU | BPF_RSH | BPF_X
  return: 0x06, // BPF_RET | BPF_K
  always: 0x05, // BPF_JMP | BPF_JA
  eq: 0x15, // BPF_JMP | BPF_JEQ | BPF_K, and so on
  ge: 0x35,
  set: 0x45,
} as const;

interface Instruction {
  readonly code: number;
  readonly yes: number;
  readonly no: number;
  readonly k: number;
}

const skipMax = 255;

/** Instructions from the last to the first: with forward jumps only, every target's place is then known. */
interface Emitted {
  readonly backwards: Instruction[];
  readonly places: Map<Node, number>;
  /** The same places by what is done there. */
  readonly placesByContent: Map<string, number>;
  /** The latest copy of each return, by value: one instruction is cheaper repeated than jumped to. */
  readonly returnPlaces: Map<number, number>;
}

/**
 * Lays a graph out as classic BPF, 8 bytes an instruction. A conditional jump reaches 255 instructions: where its
 * target is farther, the return is repeated or an unconditional jump put in between.
 */
export function assemble(root: Node): Uint8Array {
  const out: Emitted = { backwards: [], places: new Map(), placesByContent: new Map(), returnPlaces: new Map() };
  // Depth first, but not by recursion: a profile may have a chain of thousands of conditions.
  const pending = [root];
  while (pending.length > 0) {
    const node = pending[pending.length - 1]!;
    const missing = successors(node).find((next) => placeOf(out, next) === undefined);
    if (missing !== undefined) {
      pending.push(missing);
    } else {
      emit(out, node);
      pending.pop();
    }
  }
  return encode(out.backwards);
}

/** What a node continues with; the last is emitted last, which places it next to the node. */
function successors(node: Node): Node[] {
  if (node.kind === 'return') return [];
  return node.kind === 'branch' ? [node.no, node.yes] : [node.next];
}

function placeOf(out: Emitted, node: Node): number | undefined {
  return node.kind === 'return' ? out.returnPlaces.get(node.value) : out.places.get(node);
}

function push(out: Emitted, code: number, k: number, yes = 0, no = 0): number {
  return out.backwards.push({ code, yes, no, k }) - 1;
}

/** How many instructions lie between the next one to be pushed and one that was. */
function distance(out: Emitted, place: number): number {
  return out.backwards.length - place - 1;
}

/** Emits a node whose successors have been, unless another that does the same has been, too. */
function emit(out: Emitted, node: Node): void {
  if (node.kind === 'return') {
    emitReturn(out, node.value);
    return;
  }
  const content = contentOf(out, node);
  const place = out.placesByContent.get(content) ?? emitInner(out, node);
  out.placesByContent.set(content, place);
  out.places.set(node, place);
}

/** What tells a node from those that do something else; its successors have their places. */
function contentOf(out: Emitted, node: Inner): string {
  const ahead = (next: Node) => (next.kind === 'return' ? `return ${next.value}` : out.places.get(next));
  if (node.kind === 'branch') return `${node.test} ${node.value} ${ahead(node.yes)} ${ahead(node.no)}`;
  return `${node.kind} ${constantOf(node)} ${ahead(node.next)}`;
}

function constantOf(node: Exclude<Inner, { kind: 'branch' }>): number {
  if (node.kind === 'load') return node.offset;
  if (node.kind === 'immediate') return node.value;
  return node.kind === 'and' ? node.mask : 0;
}

function emitInner(out: Emitted, node: Inner): number {
  if (node.kind !== 'branch') {
    fallInto(out, node.next);
    return push(out, codes[node.kind], constantOf(node));
  }
  // A stepping stone for `yes` would put `no` one farther, hence the room that is left.
  const no = within(out, node.no, skipMax - 1);
  const yes = within(out, node.yes, skipMax);
  return push(out, codes[node.test], node.value, distance(out, yes), distance(out, no));
}

function emitReturn(out: Emitted, value: number): number {
  const place = push(out, codes.return, value);
  out.returnPlaces.set(value, place);
  return place;
}

/** Makes the node what the next pushed instruction is followed by. */
function fallInto(out: Emitted, node: Node): void {
  if (distance(out, placeOf(out, node)!) > 0) steppingStone(out, node);
}

/** The node's place if a jump over `skip` instructions reaches it, else that of a stepping stone to it. */
function within(out: Emitted, node: Node, skip: number): number {
  const place = placeOf(out, node)!;
  return distance(out, place) <= skip ? place : steppingStone(out, node);
}

function steppingStone(out: Emitted, node: Node): number {
  if (node.kind === 'return') return emitReturn(out, node.value);
  return push(out, codes.always, distance(out, placeOf(out, node)!));
}

function encode(backwards: readonly Instruction[]): Uint8Array {
  const bytes = new Uint8Array(backwards.length * 8);
  const view = new DataView(bytes.buffer);
  let offset = bytes.length;
  for (const { code, yes, no, k } of backwards) {
    offset -= 8;
    view.setUint16(offset, code, true);
    view.setUint8(offset + 2, yes);
    view.setUint8(offset + 3, no);
    view.setUint32(offset + 4, k, true);
  }
  return bytes;
}
