import { existsSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import packageJson from '../../package.json' with { type: 'json' };
import { testIf } from '../support/requires.ts';
import { temporaryDirectory } from '../support/rootfs.ts';
import { runts, shell } from './runts.ts';

describe('help', () => {
  test.each([
    [['--help'], /^NAME:\n {3}runts - Open Container Initiative runtime[\s\S]*\n {2}create [\s\S]*\n {2}doctor /],
    [['help'], /^NAME:\n {3}runts - /],
    [['create', '--help'], /^NAME:\n {3}runts create - [\s\S]*-b, --bundle DIR/],
    [['--help', 'state'], /^NAME:\n {3}runts state - /],
    [['help', 'kill'], /^NAME:\n {3}runts kill - /],
    [['run', '--help'], /^NAME:\n {3}runts run - [\s\S]*-d, --detach[\s\S]*OPTIONS WITHOUT A BUNDLE:[\s\S]*-t, --tty/],
    [['run', '--host', '-h'], /^NAME:\n {3}runts run - [\s\S]*OPTIONS WITHOUT A BUNDLE:/],
    [['plan', '-h'], /^NAME:\n {3}runts plan - [\s\S]*-e, --env NAME=VALUE/],
    [['doctor', '--help'], /^NAME:\n {3}runts doctor - /],
    [['checkpoint', '-h'], /^NAME:\n {3}runts checkpoint - not supported/],
  ])('%j', async (args, text) => {
    const { code, stdout, stderr } = await runts(args);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(text);
  });

  test('no command gives the help, and an exit code that says that nothing was done', async () => {
    expect(await runts([])).toMatchObject({ code: 1, stdout: expect.stringContaining('COMMANDS:') });
  });

  test('an unknown command is told, with the nearest name', async () => {
    const { code, stderr } = await runts(['plna', '-h']);
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: "runts: No help topic for 'plna': there is no such command (Did you mean plan?)\n",
    });
    expect((await runts(['constructor'])).stderr).toContain('--help lists the commands');
  });

  test('so is an option before the command, and a value that it cannot have', async () => {
    expect(await runts(['--rot', 'x', 'list'])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('unknown option --rot; did you mean --root?'),
    });
    for (const option of ['--log-format', '--log-level', '--cgroup-manager', '--rootless']) {
      const { code, stderr } = await runts([option, 'x', 'list']);
      expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining(`${option}: must be one of `) });
    }
  });
});

describe('the version', () => {
  test.each(['--version', '-v'])('%s has the lines that engines read', async (option) => {
    const { code, stdout } = await runts([option]);
    const [name, commit, spec, parts] = stdout.split('\n');
    expect(code).toBe(0);
    expect(name).toBe(`runts version ${packageJson.version}`);
    expect(commit).toMatch(/^commit: (unknown|[0-9a-f]{40})$/);
    expect(spec).toBe('spec: 1.3.0');
    expect(parts).toMatch(/^\+SYSTEMD (\+[A-Z]+ ?)+$/);
    // dockerd splits every line at this word.
    expect(stdout.match(/version/g)).toHaveLength(1);
  });

  test('is that of the name by which we were called', async () => {
    const directory = temporaryDirectory();
    try {
      const link = join(directory.path, 'runc');
      symlinkSync(join(process.cwd(), 'bin', 'runts.js'), link);
      const { stdout } = await shell(`${link} --version; ${link} state -h; ${link} frob`);
      expect(stdout).toMatch(/^runc version \d+\.\d+\.\d+\n[\s\S]*\n {3}runc state - /);
    } finally {
      directory.remove();
    }
  });
});

describe('features', () => {
  test('is a document of what the tables know', async () => {
    const { code, stdout } = await runts(['features']);
    const document = JSON.parse(stdout);
    expect(code).toBe(0);
    expect(document).toMatchObject({
      ociVersionMin: '1.0.0',
      ociVersionMax: '1.3.0',
      hooks: expect.arrayContaining(['createContainer']),
      mountOptions: expect.arrayContaining(['rro', 'idmap', 'bind']),
      linux: { cgroup: { v1: false, v2: true }, seccomp: { enabled: true } },
    });
  });
});

describe('completion and manual', () => {
  const has = (program: string) => ['/bin', '/usr/bin'].some((path) => existsSync(join(path, program)));
  const complete = (line: string) =>
    shell(
      `eval "$($RUNTS completion bash)"; COMP_WORDS=(${line}); COMP_CWORD=$((\${#COMP_WORDS[@]}-1)); _runts; echo "\${COMPREPLY[@]}"`,
    );

  test.each([
    ['runts cr', 'create'],
    ['runts --log-format j', 'json'],
    ['runts --root /x cr', 'create'],
    ['runts exec --add', '--additional-gids'],
    ['runts --debug list --format t', 'table'],
    ['runts completion f', 'fish'],
  ])('bash completes %s to %s', async (line, word) => {
    expect((await complete(line)).stdout).toBe(`${word}\n`);
  });

  test('what is printed for a shell is a program of it', async () => {
    expect((await shell('$RUNTS completion bash | bash -n')).stderr).toBe('');
    if (has('zsh')) expect((await shell('$RUNTS completion zsh | zsh -n')).stderr).toBe('');
    if (has('fish')) expect((await shell('$RUNTS completion fish | fish -n')).stderr).toBe('');
    expect(await runts(['completion', 'tcsh'])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('give one shell of bash, zsh, fish; got tcsh'),
    });
  });

  test('man prints a page of roff, of a command that there is', async () => {
    expect((await runts(['man'])).stdout).toMatch(/^\.TH "RUNTS" 1 /);
    expect((await runts(['man', 'exec'])).stdout).toMatch(/^\.TH "RUNTS\\-EXEC" 1 /);
    expect(await runts(['man', 'frob'])).toMatchObject({ code: 1, stderr: expect.stringContaining('got frob') });
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
