import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { RuntsError } from '../../../lib/errors.ts';
import { jsonDepthMax, parseJson, stringifyJson, withoutNulls } from '../../../lib/spec/json.ts';

const plain = (value: unknown): unknown =>
  JSON.parse(JSON.stringify(value, (_, item) => (typeof item === 'bigint' ? Number(item) : item)));

/** What JSON.parse gives, and we by design do not. */
const refusedByDesign = /\0|\\u0000/;

describe('parseJson', () => {
  test('agrees with JSON.parse on every value that both accept', () => {
    fc.assert(
      fc.property(
        fc.jsonValue({ maxDepth: 6, stringUnit: 'binary' }),
        fc.constantFrom(undefined, 1, '\t'),
        (value, indent) => {
          const text = JSON.stringify(value, null, indent);
          fc.pre(!refusedByDesign.test(text));
          expect(plain(parseJson(text))).toEqual(plain(JSON.parse(text)));
        },
      ),
      { seed: 1, numRuns: 2000 },
    );
  });

  test('accepts no text that JSON.parse refuses, and throws nothing but ERR_SPEC', () => {
    const nearly = fc.array(
      fc.constantFrom(
        '{',
        '}',
        '[',
        ']',
        ',',
        ':',
        '"',
        '\\',
        'u00',
        '0',
        '1',
        '-',
        '.',
        'e',
        'true',
        'nul',
        ' ',
        '\n',
        '"a"',
      ),
      { maxLength: 12 },
    );
    fc.assert(
      fc.property(nearly, (parts) => {
        const text = parts.join('');
        let value: unknown;
        try {
          value = parseJson(text);
        } catch (error) {
          expect(error).toMatchObject({ code: 'ERR_SPEC' });
          return;
        }
        expect(plain(value)).toEqual(plain(JSON.parse(text)));
      }),
      { seed: 2, numRuns: 20_000 },
    );
  });

  test('keeps 64-bit integers that a double would change', () => {
    expect(parseJson('[18446744073709551615, -9223372036854775808, 9007199254740991, 9007199254740993]')).toEqual([
      18446744073709551615n,
      -9223372036854775808n,
      9007199254740991,
      9007199254740993n,
    ]);
  });

  test('gives objects without a prototype, in which __proto__ is a key like any other', () => {
    const value = parseJson('{"__proto__": {"isAdmin": true}, "constructor": 1}') as Record<string, unknown>;
    expect(Object.getPrototypeOf(value)).toBe(null);
    expect(value['isAdmin']).toBe(undefined);
    expect(Object.keys(value)).toEqual(['__proto__', 'constructor']);
  });

  test('joins the two escapes of a surrogate pair, also with text around', () => {
    expect(parseJson('"a\\ud83d\\ude00b"')).toBe('a😀b');
  });

  const bad: readonly (readonly [text: string, message: string])[] = [
    ['', 'line 1, column 1: expected a value but found the end'],
    ['{\n  "a": 1,\n  "b" 2\n}', 'line 3, column 7: expected ":" but found "2"'],
    ['{"a": 1,}', 'line 1, column 9: expected a key in double quotes but found "}"'],
    ["{'a': 1}", 'line 1, column 2: expected a key in double quotes but found "\'"'],
    ['[1, 2', 'line 1, column 6: expected "," or "]" but found the end'],
    ['[1 2]', 'line 1, column 4: expected "," or "]" but found "2"'],
    ['{"a": tru}', 'line 1, column 7, in /a: expected a value but found "tru"'],
    ['{"a": {"b/c": [1, "\\u0000"]}}', 'line 1, column 20, in /a/b~1c/1: a NUL character in a string'],
    ['{"a": 1, "b": 2, "a": 3}', 'line 1, column 18: the key "a" stands twice'],
    ['{"a": {"\\u0062": 1, "b": 1}}', 'line 1, column 21, in /a: the key "b" stands twice'],
    ['[NaN]', 'line 1, column 2, in /0: expected a value but found "NaN"'],
    ['[01]', 'line 1, column 3: expected "," or "]" but found "1"'],
    ['[+1]', 'expected a value but found "+1"'],
    ['[1.]', 'expected "," or "]" but found "."'],
    ['[1e999]', 'the number 1e999 is too large'],
    [`[${'9'.repeat(600)}]`, 'a number of more than 512 characters'],
    ['{} x', 'line 1, column 4: unexpected "x" after the end of the document'],
    ['\ufeff{}', 'line 1, column 1: expected a value but found a byte order mark'],
    ['"a\\u0000b"', 'line 1, column 3: a NUL character in a string'],
    ['{"a\\u0000": 1}', 'a NUL character in a string'],
    ['"a\0b"', 'a control character (0) in a string'],
    ['"a\nb"', 'a control character (10) in a string'],
    ['"\\ud800"', 'half of a surrogate pair'],
    ['"\ud800"', 'half of a surrogate pair'],
    ['"\\x41"', 'unknown escape "\\x"'],
    ['"\\u12g4"', 'expected four hexadecimal digits'],
    ['"abc', 'line 1, column 1: a string that does not end'],
    ['// comment\n{}', 'line 1, column 1: expected a value but found "/"'],
  ];
  test.each(bad)('refuses %j', (text, message) => {
    expect(() => parseJson(text, 'config.json')).toThrow(message);
    expect(() => parseJson(text, 'config.json')).toThrow(/^config\.json: line \d+, column \d+(, in \/\S+)?: /);
  });

  test('takes the deepest nesting that is allowed, and refuses one level more', () => {
    const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth);
    expect(() => parseJson(nested(jsonDepthMax))).not.toThrow();
    expect(() => parseJson(nested(jsonDepthMax + 1))).toThrow('more than 128 levels deep');
    expect(() => parseJson('{"a":'.repeat(100_000))).toThrow(RuntsError);
  });

  test('refuses a document above 16 MiB before it reads it', () => {
    expect(() => parseJson(`"${'a'.repeat(16 * 1024 * 1024)}"`)).toThrow('more than 16777216 characters');
  });

  test('reads a configuration of 100 KB in a few milliseconds', () => {
    const syscalls = Array.from({ length: 1200 }, (_, i) => ({
      names: [`syscall_${i}`, 'read'],
      action: 'SCMP_ACT_ALLOW',
      args: [{ index: 0, value: i * 1000, op: 'SCMP_CMP_EQ' }],
    }));
    const text = JSON.stringify({ linux: { seccomp: { syscalls } } }, null, 1);
    expect(text.length).toBeGreaterThan(100_000);
    const times = Array.from({ length: 10 }, () => {
      const before = performance.now();
      parseJson(text);
      return performance.now() - before;
    });
    // The fastest of ten: the machine may be busy with other things. It takes about 3 ms.
    expect(Math.min(...times)).toBeLessThan(30);
  });
});

describe('stringifyJson', () => {
  test('writes what parseJson reads back as the same value, 64-bit integers and all', () => {
    fc.assert(
      fc.property(
        fc.jsonValue({ maxDepth: 5 }),
        fc.bigInt(-(1n << 64n), 1n << 64n),
        fc.constantFrom(0, 2),
        (...given) => {
          const [value, big, indent] = given;
          fc.pre(!refusedByDesign.test(JSON.stringify(value)) && !/\\ud[89a-f]/i.test(JSON.stringify(value)));
          const text = stringifyJson({ value, big }, indent);
          const { big: read } = parseJson(text) as { big: number | bigint };
          expect(BigInt(read)).toBe(big);
          expect(plain(parseJson(text))).toEqual(plain({ value, big }));
        },
      ),
      { seed: 3, numRuns: 2000 },
    );
  });

  test('writes as JSON.stringify does where there is no bigint', () => {
    const value = { a: [1, { b: 'x"\n', c: null }, [], {}], left: undefined, d: true };
    expect(stringifyJson(value)).toBe(JSON.stringify(value));
    expect(stringifyJson(value, 2)).toBe(JSON.stringify(value, null, 2));
    expect(stringifyJson([18446744073709551615n])).toBe('[18446744073709551615]');
  });

  test('drops nothing silently', () => {
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY, () => 0, undefined, Symbol('x')]) {
      expect(() => stringifyJson(value)).toThrow(RuntsError);
    }
  });
});

test('a member that is null can be taken for one that is not given', () => {
  const value = parseJson('{"a":null,"b":[{"c":null,"d":0},null],"e":{"f":false,"g":""}}', 'x');
  expect(plain(withoutNulls(value))).toEqual({ b: [{ d: 0 }, null], e: { f: false, g: '' } });
});
