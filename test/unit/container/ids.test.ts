import { expect, test } from 'vitest';
import { newIds } from '../../../lib/container/ids.ts';
import { createHost } from '../../../lib/node/host.ts';

test('no id comes twice, and each has 64 hexadecimal digits', () => {
  const newId = newIds(createHost());
  const ids = Array.from({ length: 1000 }, newId);
  expect(new Set(ids).size).toBe(1000);
  for (const id of ids) expect(id).toMatch(/^[0-9a-f]{64}$/);
});

test('they have all the random bytes that the host gives, each once', () => {
  const bytes: number[] = [];
  const random = (count: number) => {
    const given = Uint8Array.from({ length: count }, (_, i) => (bytes.length + 7 * i) & 0xff);
    bytes.push(...given);
    return given;
  };
  const newId = newIds({ random });
  const ids = Array.from({ length: 64 }, newId);
  expect(ids.sort()).toEqual(Buffer.from(bytes).toString('hex').match(/.{64}/g)!.sort());
});
