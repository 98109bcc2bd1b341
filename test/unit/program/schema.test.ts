import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { type OpRow, opNames, ops } from '../../../lib/program/ops.ts';
import { schema, schemaHex, schemaText } from '../../../lib/program/schema.ts';

test('the schema is the FNV-1a hash of the table', () => {
  let hash = 0xcbf29ce484222325n;
  for (const byte of Buffer.from(schemaText())) hash = ((hash ^ BigInt(byte)) * 0x100000001b3n) & 0xffffffffffffffffn;
  expect(schemaHex(schema())).toBe(`0x${hash.toString(16).padStart(16, '0')}`);
});

test('the header of the init has this schema: npm run generate', () => {
  const header = readFileSync(new URL('../../../native/program/ops.gen.h', import.meta.url), 'utf8');
  expect(header).toContain(`kSchema = ${schemaHex(schema())}ull`);
});

test('an op has no more operands than a record has slots', () => {
  for (const name of opNames) expect(Object.keys((ops[name] as OpRow).operands).length).toBeLessThanOrEqual(7);
});
