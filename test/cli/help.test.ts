import { describe, expect, test } from 'vitest';
import packageJson from '../../package.json' with { type: 'json' };
import { testIf } from '../support/requires.ts';
import { runts } from './runts.ts';

describe('help', () => {
  test.each([
    [['--help'], /^runts: isolated Linux containers[\s\S]*\n {2}run [\s\S]*\n {2}plan [\s\S]*\n {2}doctor /],
    [['run', '--help'], /^usage: runts run [\s\S]*-b, --bundle DIR/],
    [['plan', '-h'], /^usage: runts plan [\s\S]*-e, --env NAME=VALUE/],
    [['doctor', '--help'], /^usage: runts doctor\n/],
    [['--version'], new RegExp(`^runts version ${packageJson.version}\n$`)],
  ])('%j', async (args, text) => {
    const { code, stdout, stderr } = await runts(args);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(text);
  });

  test('no command gives the help, and an exit code that says that nothing was done', async () => {
    expect(await runts([])).toMatchObject({ code: 125, stdout: expect.stringContaining('usage: runts COMMAND') });
  });

  test('an unknown command is told, with the nearest name', async () => {
    const { code, stderr } = await runts(['plna']);
    expect({ code, stderr }).toEqual({
      code: 125,
      stderr: 'runts: unknown command "plna"\n  hint: Did you mean plan?\n',
    });
    expect((await runts(['constructor'])).stderr).toContain('runts --help lists the commands');
  });
});

testIf('userns')('plan prints every op and where it comes from, and makes nothing', async () => {
  const { code, stdout } = await runts(['plan', '--host', '-e', 'A=b', '--', 'true']);
  expect(code).toBe(0);
  expect(stdout).toMatch(/^clone {6}.*\buser\b.*\n/);
  expect(stdout).toMatch(/\nuid map {4}0:/);
  expect(stdout).toMatch(/\ninput {6}stdin\d* = descriptor 0 {2}; default: stdio\n/);
  expect(stdout).toMatch(/\n *\d+ {2}exec .*argv=\[true\] env=\[.*\bA=b\b.*\] +; \/process\/args\n/);
  const ops = stdout.split('\n').filter((line) => /^ *\d+ {2}[a-z]/.test(line));
  expect(ops.map((line) => Number.parseInt(line, 10))).toEqual(ops.map((_, i) => i));
  for (const line of ops) expect(line).toMatch(/ {2}; \S/);
});

testIf('userns')(
  'doctor says for each thing whether it is there, and if not why it matters and what to do',
  async () => {
    const { code, stdout } = await runts(['doctor']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^yes {2}user namespaces +made one and became root in it$/m);
    const lines = stdout.trimEnd().split('\n');
    for (const [i, line] of lines.entries()) {
      expect(line).toMatch(/^(yes {2}|NO {3}| {7}why: | {7}what to do: )\S/);
      if (line.startsWith('NO')) expect(lines[i + 1]).toMatch(/^ {7}why: /);
    }
  },
);
