import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { diagnose, root } from './diagnostics.ts';

test('the public types allow what is meant and nothing else', () => {
  const folder = join(root, 'test/types');
  const names = readdirSync(folder).filter((name) => name.endsWith('.test-d.ts'));
  expect(names.length).toBeGreaterThan(0);
  expect(diagnose(new Map(names.map((name) => [join(folder, name), undefined])))).toEqual([]);
});

test('a wrong use is found, so that an empty list means something', () => {
  const path = join(root, 'test/types/wrong.ts');
  const text = "import { run } from 'runts';\nawait run({ command: ['true'] });\n";
  expect(diagnose(new Map([[path, text]])).join()).toContain('test/types/wrong.ts:2:');
});
