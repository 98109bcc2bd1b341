// Any command line: what was written is what is read, and what cannot be read is refused in sentences.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { commands } from '../../lib/cli/commands.ts';
import { type Flag, type Flags, type Grammar, type Parsed, parseFlags } from '../../lib/cli/parse.ts';
import { RuntsError } from '../../lib/errors.ts';
import { runs } from './runs.ts';

const all = await Promise.all(
  Object.entries(commands).map(async ([name, { load }]) => ({ name, ...(await load([])) })),
);

/** What it gives, or undefined where it refuses in sentences of ours; anything else is a failure. */
function parsed(argv: readonly string[], flags: Flags, grammar: Grammar | undefined): Parsed | undefined {
  try {
    return parseFlags('command', argv, flags, grammar);
  } catch (error) {
    if (!RuntsError.is(error) || error.code !== 'ERR_SPEC') throw error;
    expect(error.issues?.length).toBeGreaterThan(0);
    return undefined;
  }
}

const word = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 8 }),
  fc.constantFrom(
    '-',
    '--',
    '',
    'id',
    'a=b',
    '--=',
    '-=',
    '---',
    '-1',
    '--no-such',
    '=x',
    '__proto__',
    '--__proto__',
    '--constructor=1',
  ),
);
/** Words of a command: its options, whole, cut, joined and with values, and anything else. */
const wordsOf = (flags: Flags) => {
  const names = Object.values(flags).flatMap((flag) => flag.names);
  if (names.length === 0) return fc.array(word, { maxLength: 6 });
  const name = fc.constantFrom(...names);
  const written = fc.oneof(
    name,
    fc.tuple(name, word).map(([n, value]) => `${n}=${value}`),
    fc.tuple(name, word).map(([n, value]) => `${n}${value}`),
    name.map((n) => n.slice(1)),
    fc.tuple(name, name).map(([a, b]) => `${a}${b.slice(1)}`),
  );
  return fc.array(fc.oneof(word, written), { maxLength: 8 });
};

test('words of any kind are read or refused, and none is lost', () => {
  const line = fc.constantFrom(...all).chain((command) => fc.tuple(fc.constant(command), wordsOf(command.flags)));
  let read = 0;
  fc.assert(
    fc.property(line, ([{ flags, grammar }, argv]) => {
      const result = parsed(argv, flags, grammar);
      if (result === undefined) return;
      read++;
      expect(Object.keys(result.given).every((key) => Object.hasOwn(flags, key))).toBe(true);
      // The words that are left stand on the line in this order; without `anywhere` they are its end.
      let at = 0;
      for (const left of result.rest) at = argv.indexOf(left, at) + 1;
      expect(result.rest.length === 0 || at > 0).toBe(true);
      if (grammar?.anywhere !== true) expect(argv.slice(argv.length - result.rest.length)).toEqual(result.rest);
    }),
    runs(2000),
  );
  expect(read).toBeGreaterThan(100);
});

/** A flag in one of its spellings with a value, and what it should come to. */
const said = (flags: Flags) =>
  fc.constantFrom(...Object.entries(flags)).chain(([key, flag]: [string, Flag]) =>
    fc
      .tuple(fc.constantFrom(...flag.names), fc.string({ unit: 'grapheme', maxLength: 10 }), fc.boolean())
      .map(([name, value, inline]) => {
        if (flag.value === undefined) return { key, value: true as const, words: [name] };
        return { key, value, words: inline ? [`${name}=${value}`] : [name, value] };
      }),
  );

test('options with any values are what was said, and everything after -- is left alone', () => {
  const line = fc
    .constantFrom(...all.filter(({ flags }) => Object.keys(flags).length > 0))
    .chain((command) =>
      fc.tuple(
        fc.constant(command),
        fc.uniqueArray(said(command.flags), { maxLength: 5, selector: ({ key }) => key }),
        fc.array(fc.oneof(word, fc.constantFrom('--', '--help', '-t')), { maxLength: 4 }),
      ),
    );
  fc.assert(
    fc.property(line, ([{ flags, grammar }, options, rest]) => {
      const argv = [...options.flatMap(({ words }) => words), '--', ...rest];
      const expected = options.map(({ key, value }) => [key, flags[key]?.repeat && value !== true ? [value] : value]);
      expect(parsed(argv, flags, grammar)).toEqual({ given: Object.fromEntries(expected), rest });
    }),
    runs(1500),
  );
});

test('an option that may be repeated keeps all its values in their order', () => {
  const repeated = all.flatMap(({ flags, grammar }) =>
    Object.entries(flags)
      .filter(([, flag]) => flag.repeat)
      .map(([key, flag]) => ({ key, flag, flags, grammar })),
  );
  fc.assert(
    fc.property(fc.constantFrom(...repeated), fc.array(fc.string(), { minLength: 1, maxLength: 6 }), (one, values) => {
      const argv = values.flatMap((value) => [one.flag.names[0] as string, value]);
      expect(parsed(argv, one.flags, one.grammar)?.given[one.key]).toEqual(values);
    }),
    runs(500),
  );
});
