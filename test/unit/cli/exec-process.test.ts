import { describe, expect, test } from 'vitest';
import { checkedProcess, execProcess } from '../../../lib/cli/exec-process.ts';
import { exec } from '../../../lib/cli/oci/exec.ts';
import { parseFlags } from '../../../lib/cli/parse.ts';
import type { RuntsError } from '../../../lib/errors.ts';
import { exampleSpec } from '../../../lib/spec/example.ts';

const spec = exampleSpec({ hostname: 'h', cgroupNamespace: false });
const built = (...argv: string[]) => execProcess(spec, parseFlags('exec', argv, exec.flags, exec.grammar), ['ls']);

function faults(work: () => unknown): readonly string[] {
  try {
    work();
  } catch (error) {
    const { issues = [], message } = error as RuntsError;
    return issues.length > 0 ? issues.map(({ path, message: m }) => `${path}: ${m}`) : [message];
  }
  return [];
}

test('without options it is the container’s own process with another command, and no terminal', () => {
  expect(built()).toEqual({ ...spec.process, args: ['ls'], terminal: false });
});

test('each option changes its field', () => {
  const process = built(
    ...['-u', '1000:100', '-g', '5', '-g6', '-e', 'A=b', '--cwd', '/tmp', '-t', '--console-size', '100x40'],
    ...['-c', 'net_raw', '--apparmor', 'p', '--process-label', 'l'],
  );
  expect(process).toMatchObject({
    user: { uid: 1000, gid: 100, additionalGids: [5, 6] },
    env: [...(spec.process?.env ?? []), 'A=b'],
    cwd: '/tmp',
    terminal: true,
    consoleSize: { width: 100, height: 40 },
    apparmorProfile: 'p',
    selinuxLabel: 'l',
  });
  for (const set of ['bounding', 'effective', 'permitted'] as const) {
    expect(process.capabilities?.[set]).toContain('CAP_NET_RAW');
  }
  expect(process.capabilities?.ambient).toBeUndefined();
});

test('a capability is raised for an ordinary user where the configuration has inheritable ones', () => {
  const inheriting = {
    ...spec,
    process: { ...spec.process!, capabilities: { ...spec.process?.capabilities, inheritable: ['CAP_KILL'] } },
  };
  const parsed = parseFlags('exec', ['-c', 'CAP_KILL'], exec.flags, exec.grammar);
  expect(execProcess(inheriting, parsed, ['ls']).capabilities?.ambient).toEqual(['CAP_KILL']);
});

test('a capability that nobody knows is refused, with the name that was meant', () => {
  expect(() => built('-c', 'chwon', '-c', 'CAP_KILL')).toThrow(
    '--cap: unknown capability "chwon"; did you mean "CAP_CHOWN"?',
  );
});

test('--no-new-privs adds it and its absence keeps it', () => {
  const without = { ...spec, process: { ...spec.process!, noNewPrivileges: false } };
  const parse = (...argv: string[]) => parseFlags('exec', argv, exec.flags, exec.grammar);
  expect(execProcess(without, parse(), ['ls']).noNewPrivileges).toBe(false);
  expect(execProcess(without, parse('--no-new-privs'), ['ls']).noNewPrivileges).toBe(true);
  expect(built().noNewPrivileges).toBe(true);
});

describe('a user is a number, exactly', () => {
  test.each([
    ['4294967296', '-1', ' 1', '1 ', '+1', '0x1', '1e3', 'root', '1:', ':1', '1:2:3', '4294967295', '1:4294967295', ''],
  ])('of %s none is taken', (...words) => {
    for (const word of words) expect(faults(() => built(`--user=${word}`))[0], word).toMatch(/^--user: must be UID/);
  });

  test('group alone is the configuration’s', () => {
    expect(built('-u', '7').user).toEqual({ uid: 7, gid: 0 });
  });
});

test('everything that is wrong is told at once', () => {
  const wrong = ['-u', 'x', '-g', '-1', '--console-size', '1,2'];
  expect(faults(() => built(...wrong))).toEqual([
    '--user: must be UID or UID:GID, numbers up to 4294967294, not "x"',
    '--additional-gids: must be a number up to 4294967294, not "-1"',
    '--console-size: must be WIDTHxHEIGHT, not "1,2"',
  ]);
  expect(faults(() => built('-e', 'A', '--cwd', 'x'))).toEqual([
    '/process/env/2: must have the form NAME=VALUE, not "A"',
    '/process/cwd: must be an absolute path, not "x"',
  ]);
});

test('a process from a file is held to what holds for a configuration’s', () => {
  const process = { args: ['ls'], cwd: '/', user: { uid: 0, gid: 0 } };
  expect(checkedProcess(spec, process, 'f')).toEqual(process);
  expect(faults(() => checkedProcess(spec, { ...process, args: 'ls', cwd: 1 }, 'f'))).toHaveLength(2);
  expect(faults(() => checkedProcess(spec, undefined, 'f'))).toEqual(['/process: must be an object']);
  expect(faults(() => checkedProcess(spec, null, 'f'))).toHaveLength(1);
});

test('a configuration without a process cannot be added to', () => {
  const { process: _process, ...none } = spec;
  const parsed = parseFlags('exec', [], exec.flags, exec.grammar);
  expect(faults(() => execProcess(none, parsed, ['ls']))[0]).toMatch(/has no process/);
});
