import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { root } from '../types/diagnostics.ts';

const page = readFileSync(join(root, 'SECURITY.md'), 'utf8');
const rows = page
  .split('\n')
  .filter((line) => /^\| R\d+ \|/.test(line))
  .map((line) => {
    const [, name = '', , where = '', proof = ''] = line.split('|').map((cell) => cell.trim());
    const files = [...where.matchAll(/`([^`]+)`/g)].map(([, path]) => path!);
    const proofs = [...proof.matchAll(/`([^`]+)`: "([^"]+)"/g)].map(([, file, title]) => ({
      file: file!,
      title: title!,
    }));
    return { name, files, proofs, proof };
  });

test('every requirement has a row', () => {
  expect(rows.map(({ name }) => name)).toEqual(Array.from({ length: 40 }, (_, i) => `R${i + 1}`));
});

test.each(rows)('$name names files that are there', ({ files }) => {
  expect(files.length).toBeGreaterThan(0);
  expect(files.filter((path) => !existsSync(join(root, path)))).toEqual([]);
});

test.each(rows)('$name names tests that are there', ({ proofs, proof }) => {
  expect(proofs.map(({ file, title }) => `\`${file}\`: "${title}"`).join('; ')).toBe(proof);
  const missing = proofs.filter(({ file, title }) => {
    const path = join(root, file);
    return !existsSync(path) || !readFileSync(path, 'utf8').replaceAll("\\'", "'").includes(title);
  });
  expect(missing).toEqual([]);
});
