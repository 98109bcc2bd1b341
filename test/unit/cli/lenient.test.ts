import { expect, test } from 'vitest';
import { type Flags, type Grammar, isOn, parseFlags, textOf, textsOf } from '../../../lib/cli/parse.ts';
import type { RuntsError } from '../../../lib/errors.ts';

const flags: Flags = {
  root: { names: ['--root'], value: 'DIR', doc: '' },
  user: { names: ['--user', '-u'], value: 'USER', doc: '' },
  env: { names: ['--env', '-e'], value: 'NAME=VALUE', repeat: true, doc: '' },
  force: { names: ['--force', '-f'], doc: '' },
  tty: { names: ['--tty', '-t'], doc: '' },
};
const parse = (grammar: Grammar, ...argv: string[]) => parseFlags('x', argv, flags, grammar);
const anywhere: Grammar = { anywhere: true, lenient: true };

test.each<[string[], object, string[]]>([
  [['id', '--force'], { force: true }, ['id']],
  [['-f', 'id', 'KILL', '--user=1'], { force: true, user: '1' }, ['id', 'KILL']],
  [['id', '--', '--force'], {}, ['id', '--force']],
  [['id', '-', '-f'], { force: true }, ['id', '-']],
  [['--root', '/a', '--root=/b'], { root: '/b' }, []],
  [['--force=false', '--tty=1', '--tty=T'], { tty: true }, []],
  [['--force', '--force=0'], {}, []],
  [['-root', '/a', '-force'], { root: '/a', force: true }, []],
  [['-u1000', '-eA=B=C', '-u=7'], { user: '7', env: ['A=B=C'] }, []],
  [['-ft'], { force: true, tty: true }, []],
])('with options anywhere, as runc and crun read them: %j', (argv, given, rest) => {
  expect(parse(anywhere, ...argv)).toEqual({ given, rest });
});

test('where a command of a user follows, options end at the first word that is none', () => {
  expect(parse({ lenient: true }, '-t', 'id', 'ls', '-f')).toEqual({ given: { tty: true }, rest: ['id', 'ls', '-f'] });
});

test('what is neither is refused, with everything that is wrong', () => {
  const fail = (): unknown => parse(anywhere, 'id', '--force=maybe', '-x', '--user');
  try {
    fail();
    expect.unreachable();
  } catch (error) {
    expect((error as RuntsError).issues?.map(({ message }) => message)).toEqual([
      '--force takes no value, got "maybe"',
      'unknown option -x; did you mean -u?',
      '--user needs a value: --user USER',
    ]);
  }
});

test('docker’s way stays strict', () => {
  expect(() => parse({}, '--force=true')).toThrow('takes no value');
  expect(() => parse({}, '--root', 'a', '--root', 'b')).toThrow('given twice');
  expect(() => parse({}, '-u1000')).toThrow('unknown option -u1000');
});

test('the given values are read by what kind of option they are', () => {
  const parsed = parse(anywhere, '-t', '-e', 'A=1', '-e', 'B=2', '--root', '/r');
  expect([isOn(parsed, 'tty'), isOn(parsed, 'force'), textOf(parsed, 'root'), textOf(parsed, 'env')]).toEqual([
    true,
    false,
    '/r',
    undefined,
  ]);
  expect(textsOf(parsed, 'env')).toEqual(['A=1', 'B=2']);
  expect(textsOf(parsed, 'user')).toEqual([]);
});
