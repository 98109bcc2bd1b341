// Every hole that was opened once to see a test fail can be opened again: `npm run mutants` does.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { mutantsDirectory, mutantsTable, patches } from '../../scripts/mutants-table.ts';
import { testIf } from '../support/requires.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const table = mutantsTable(root);

test('every patch has a row in the table, and every row its patch', () => {
  expect(table.map(({ name }) => name).sort()).toEqual(patches(root));
});

test('every row names a test that there is', () => {
  for (const { name, file, test: part } of table) {
    const text = fs.readFileSync(join(root, 'test/attacks', `${file}.test.ts`), 'utf8');
    expect({ name, found: text.includes(part) }).toEqual({ name, found: true });
  }
});

testIf('git')('every patch applies to the tree as it is', () => {
  const path = (name: string) => join(root, mutantsDirectory, `${name}.patch`);
  const refused = patches(root).flatMap((name) => {
    const { status, stderr } = spawnSync('git', ['apply', '--check', path(name)], { cwd: root, encoding: 'utf8' });
    return status === 0 ? [] : [stderr];
  });
  expect(refused).toEqual([]);
});
