// How the two binaries are built: what makes a mistake in them hard to use (R37).
import { statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { type Elf, elf, readElf } from '../support/elf.ts';

const built = (path: string) => fileURLToPath(new URL(`../../build/Release/${path}`, import.meta.url));
const flagsOf = (file: Elf, tag: number) => file.dynamic.get(tag)?.[0] ?? 0n;

describe.each(['runts.node', 'runts-init'])('%s', (name) => {
  const file = readElf(built(name));

  test('is loaded at an address of the kernel’s choice', () => {
    expect(file.type).toBe(elf.shared);
  });

  test('has no memory that can be written and executed, the stack neither', () => {
    const both = elf.mayWrite | elf.mayExecute;
    const loaded = file.segments.filter(({ type }) => type === elf.load);
    expect(loaded.length).toBeGreaterThan(1);
    expect(loaded.filter(({ flags }) => (flags & both) === both)).toEqual([]);
    expect(file.segments.find(({ type }) => type === elf.stack)).toMatchObject({ flags: 6 });
    expect(file.dynamic.has(elf.textRelocations)).toBe(false);
  });

  test('looks for nothing at a path of its own', () => {
    expect([file.dynamic.has(elf.rpath), file.dynamic.has(elf.runpath)]).toEqual([false, false]);
  });
});

describe('the addon', () => {
  const addon = readElf(built('runts.node'));

  test('resolves its symbols at once and has its tables read-only afterwards', () => {
    const [bindNow, now] = [8n, 1n];
    expect(flagsOf(addon, elf.flags) & bindNow).toBe(bindNow);
    expect(flagsOf(addon, elf.flags1) & now).toBe(now);
    expect(addon.segments.some(({ type }) => type === elf.relro)).toBe(true);
  });

  test('sees to it that a stack or a buffer is not written over', () => {
    expect(addon.undefined).toEqual(expect.arrayContaining(['__stack_chk_fail', '__memcpy_chk', '__snprintf_chk']));
  });
});

describe('the init', () => {
  const init = readElf(built('runts-init'));

  test('needs no interpreter, no library, and at most a few relocations, which it makes itself', () => {
    expect(init.segments.some(({ type }) => type === elf.interpreter)).toBe(false);
    expect(init.dynamic.has(elf.needed)).toBe(false);
    const bytesOfOne = 24n;
    expect(flagsOf(init, elf.relaSize)).toBeLessThanOrEqual(4n * bytesOfOne);
  });

  test('is smaller than 68 KiB', () => {
    expect(statSync(built('runts-init')).size).toBeLessThan(68 * 1024);
  });

  test.each(['ops/path', 'ops/copy', 'ops/hook', 'ops/network', 'init/channel', 'program/commands'])(
    'has a canary where %s has buffers on the stack',
    (source) => {
      expect(readElf(built(`obj.target/runts-init/native/${source}.o`)).undefined).toContain('__stack_chk_fail');
    },
  );

  test('has no constructors, for nobody would call them', () => {
    const initArray = 25;
    expect(init.dynamic.has(initArray)).toBe(false);
  });
});
