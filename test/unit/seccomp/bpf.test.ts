import { describe, expect, test } from 'vitest';
import { alike, and, assemble, branch, load, type Node, offsets, returns } from '../../../lib/seccomp/bpf.ts';
import { run, simulate } from '../../support/bpf.ts';

/** A filter in the notation of the kernel's bpf_dbg: `code jt jf k`. */
function listing(filter: Uint8Array): string[] {
  const view = new DataView(filter.buffer);
  const lines: string[] = [];
  for (let at = 0; at < filter.length; at += 8) {
    const skips = `${view.getUint8(at + 2)} ${view.getUint8(at + 3)}`;
    lines.push(`0x${view.getUint16(at, true).toString(16)} ${skips} 0x${view.getUint32(at + 4, true).toString(16)}`);
  }
  return lines;
}

describe('assemble', () => {
  test('lays a graph out with the yes side next to its branch and each return once', () => {
    const allow = returns(0x7fff0000);
    const graph = load(0, branch('ge', 10, branch('eq', 12, returns(1), allow), allow));
    expect(listing(assemble(graph))).toEqual([
      '0x20 0 0 0x0',
      '0x35 0 2 0xa',
      '0x15 0 1 0xc',
      '0x6 0 0 0x1',
      '0x6 0 0 0x7fff0000',
    ]);
  });

  test('emits a shared node once and jumps to it from the second place', () => {
    const shared = load(offsets.argumentLow(0), branch('set', 1, returns(1), returns(2)));
    const graph = load(0, branch('eq', 5, and(7, shared), branch('eq', 6, shared, returns(3))));
    const filter = assemble(graph);
    expect(filter.length / 8).toBe(10);
    expect(simulate(filter, { arch: 0, nr: 5, args: [1n] })).toBe(1);
    expect(simulate(filter, { arch: 0, nr: 6, args: [2n] })).toBe(2);
    expect(simulate(filter, { arch: 0, nr: 7 })).toBe(3);
  });

  test('emits once what is done in two places by nodes of their own', () => {
    const asked = () => load(offsets.argumentLow(0), branch('set', 1, returns(1), returns(2)));
    const filter = assemble(load(0, branch('eq', 5, asked(), branch('eq', 6, returns(3), asked()))));
    expect(filter.length / 8).toBe(8);
    expect(simulate(filter, { arch: 0, nr: 5, args: [1n] })).toBe(1);
    expect(simulate(filter, { arch: 0, nr: 7, args: [2n] })).toBe(2);
  });

  test('reaches targets that are more than 255 instructions away', () => {
    // A ladder in which every rung may leave to two far places: one return, and one node that is not a return.
    const far = load(offsets.argumentLow(1), branch('eq', 9, returns(100), returns(101)));
    let node: Node = returns(102);
    for (let i = 999; i >= 0; i--) {
      node = load(0, branch('eq', 2 * i, returns(103), branch('eq', 2 * i + 1, far, node)));
    }
    const filter = assemble(node);
    for (const nr of [0, 2, 500, 1998]) expect(simulate(filter, { arch: 0, nr })).toBe(103);
    for (const nr of [1, 3, 501, 1999]) expect(simulate(filter, { arch: 0, nr, args: [0n, 9n] })).toBe(100);
    expect(simulate(filter, { arch: 0, nr: 2000 })).toBe(102);
    expect(run(filter, { arch: 0, nr: 0 }).steps).toBeLessThanOrEqual(4);
  });

  test('reaches two targets that are both at the limit of a jump', () => {
    for (let rungs = 240; rungs <= 260; rungs++) {
      const first = load(offsets.argumentLow(0), branch('eq', 1, returns(1), returns(2)));
      const second = load(offsets.argumentLow(0), branch('eq', 1, returns(3), returns(4)));
      let ladder: Node = branch('eq', 1000, first, second);
      for (let i = 0; i < rungs; i++) ladder = branch('eq', 2000 + i, returns(5), ladder);
      for (const [yes, no] of [[first, second] as const, [second, first] as const]) {
        const filter = assemble(load(0, branch('ge', 5000, branch('eq', 5000, yes, no), ladder)));
        const [atYes, atNo] = [5000, 5001].map((nr) => simulate(filter, { arch: 0, nr, args: [1n] }));
        expect([rungs, atYes, atNo]).toEqual(yes === first ? [rungs, 1, 3] : [rungs, 3, 1]);
      }
    }
  });

  test('lays out a chain of any length without a deep stack', () => {
    let node: Node = returns(0);
    for (let i = 0; i < 50_000; i++) node = branch('eq', i, returns(1), node);
    expect(assemble(node).length).toBeGreaterThan(50_000 * 8);
  });
});

test('a branch whose sides do the same is no branch', () => {
  expect(branch('eq', 1, returns(5), returns(5))).toEqual(returns(5));
  expect(alike(returns(5), returns(6))).toBe(false);
});
