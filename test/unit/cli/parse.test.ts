import { expect, test } from 'vitest';
import { flagHelp, parseFlags } from '../../../lib/cli/parse.ts';

const flags = {
  tty: { names: ['--tty', '-t'], doc: 'a terminal' },
  interactive: { names: ['--interactive', '-i'], doc: 'input' },
  user: { names: ['--user', '-u'], value: 'USER', doc: 'the user' },
  env: { names: ['--env', '-e'], value: 'NAME=VALUE', repeat: true as const, doc: 'a variable' },
};
const parse = (...argv: string[]) => parseFlags('run', argv, flags);
const mistakes = (...argv: string[]): string[] => {
  try {
    parse(...argv);
  } catch (error) {
    return (error as { issues: { message: string }[] }).issues.map(({ message }) => message);
  }
  return [];
};

test.each([
  [['--tty', '-i', 'sh'], { tty: true, interactive: true }, ['sh']],
  [['-it', 'sh', '-i'], { tty: true, interactive: true }, ['sh', '-i']],
  [['-u', 'web', '--', '-t'], { user: 'web' }, ['-t']],
  [['--user=a=b', '-'], { user: 'a=b' }, ['-']],
  [['-u=web'], { user: 'web' }, []],
  [['--user='], { user: '' }, []],
  [['-e', 'A=1', '--env=B=2', '-e', '--tty'], { env: ['A=1', 'B=2', '--tty'] }, []],
  [['--', '--', 'x'], {}, ['--', 'x']],
  [[], {}, []],
])('%j is read', (argv, given, rest) => {
  expect(parse(...argv)).toEqual({ given, rest });
});

test('all mistakes are told at once, with the nearest name', () => {
  expect(mistakes('--usr', 'x', '--tty')).toEqual(['unknown option --usr; did you mean --user?']);
  expect(mistakes('--usr=x', '--tty=yes', '-q', '-u', 'a', '--user', 'b', '-e')).toEqual([
    'unknown option --usr; did you mean --user?',
    '--tty takes no value, got "yes"',
    'unknown option -q; did you mean -t?',
    '--user is given twice',
    '-e needs a value: -e NAME=VALUE',
  ]);
});

test('letters that are not all options are one option, which nobody knows', () => {
  expect(mistakes('-tx')[0]).toMatch(/^unknown option -tx/);
});

test('the message names the command', () => {
  expect(() => parse('--colour')).toThrow('run: unknown option --colour');
});

test('a name that every object has is no option', () => {
  expect(mistakes('--constructor', '--__proto__')).toHaveLength(2);
});

test('the help has a line for each option, the short name first', () => {
  expect(flagHelp(flags)).toBe(
    [
      '  -t, --tty                   a terminal',
      '  -i, --interactive           input',
      '  -u, --user USER             the user',
      '  -e, --env NAME=VALUE        a variable',
    ].join('\n'),
  );
});
