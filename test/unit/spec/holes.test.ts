import { expect, test } from 'vitest';
import { bytesHoles, filled, filledBytes, holesOf } from '../../../lib/spec/holes.ts';

const mark = '0123456789abcdef'.repeat(4);
const other = 'fedcba9876543210'.repeat(4);
const short = (id: string) => id.slice(0, 12);

test('a mark is replaced wherever it is, and as much of it as is there', () => {
  const value = (id: string) => ({
    name: short(id),
    paths: [`/run/${id}/root`, `/${id}:/${short(id)}`, '/none'],
    both: { end: `_ses.${id}` },
    part: '0123456789',
  });
  const holes = holesOf(value(mark), mark);
  expect(holes).toEqual([['name'], ['paths', 0], ['paths', 1], ['both', 'end']]);
  expect(filled(value(mark), holes, mark, other)).toEqual(value(other));
});

test('what was filled in is not there the next time, and what has no hole is not copied', () => {
  const value = { name: mark, ops: [{ op: 'sync' }, { op: 'keyring', name: mark }], bytes: new Uint8Array(3) };
  const holes = holesOf(value, mark);
  const first = filled(value, holes, mark, other);
  const second = filled(value, holes, mark, 'x'.repeat(64));
  expect([value.name, first.name, second.name]).toEqual([mark, other, 'x'.repeat(64)]);
  expect(value.ops[1]).toEqual({ op: 'keyring', name: mark });
  expect(first.ops[0]).toBe(value.ops[0]);
  expect(first.bytes).toBe(value.bytes);
  const none = { a: [1] };
  expect(filled(none, holesOf(none, mark), mark, other)).toBe(none);
});

test('the same in bytes', () => {
  const bytes = (id: string) => new TextEncoder().encode(`0123 ${id}\0${short(id)}\0 01234567 ${id}`);
  const before = bytes(mark);
  const holes = bytesHoles(before, mark);
  expect(holes.map(([, length]) => length)).toEqual([64, 12, 64]);
  expect(filledBytes(before, holes, other)).toEqual(bytes(other));
  expect(before).toEqual(bytes(mark));
});
