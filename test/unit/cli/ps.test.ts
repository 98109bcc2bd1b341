import { expect, test } from 'vitest';
import { onlyProcesses } from '../../../lib/cli/oci/ps.ts';

const output = `UID          PID    PPID CMD
root           1       0 /sbin/init
root          12       1 sh 123
nobody       123      12 sleep 12
`;

test('of the lines that ps printed, those of the container’s processes are left, and the header', () => {
  expect(onlyProcesses(output, [123], '')).toBe('UID          PID    PPID CMD\nnobody       123      12 sleep 12\n');
  expect(onlyProcesses(output, [12, 123], '').split('\n')).toHaveLength(4);
  expect(onlyProcesses(output, [], '')).toBe('UID          PID    PPID CMD\n');
});

test('without the column PID nobody can tell them apart', () => {
  expect(() => onlyProcesses('COMMAND\nsh\n', [1], '')).toThrow("couldn't find PID field in ps output: COMMAND");
  expect(() => onlyProcesses('', [1], 'error: unknown option\n')).toThrow('error: unknown option');
});
