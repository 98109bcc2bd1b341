import { expect, test } from 'vitest';
import { defaultSpec } from '../../../lib/spec/defaults.ts';
import { checkExec, execProcess } from '../../../lib/spec/exec-options.ts';

const spec = () => {
  const made = defaultSpec();
  made.process!.env = ['PATH=/bin', 'A=1', 'HOME=/root'];
  made.process!.cwd = '/work';
  return made;
};
const daemon = { uid: 1, gid: 2, additionalGids: [2, 5], home: '/usr/sbin' };
const paths = (command: unknown, options: unknown) => checkExec(command, options).map(({ path }) => path);

test('what is not said is as the container has it', () => {
  const base = spec();
  const { process } = base;
  expect(execProcess(base, ['ls'], {}, undefined)).toMatchObject({
    args: ['ls'],
    cwd: '/work',
    env: ['PATH=/bin', 'A=1', 'HOME=/root'],
    terminal: false,
    user: { uid: 0, gid: 0 },
    capabilities: process!.capabilities,
  });
});

test('the environment is added to, a terminal has a name and a size', () => {
  const process = execProcess(spec(), ['ls'], { env: { A: '2', B: '3' }, tty: { columns: 80, rows: 25 } }, undefined);
  expect(process.env).toEqual(['TERM=xterm', 'PATH=/bin', 'A=2', 'HOME=/root', 'B=3']);
  expect(process).toMatchObject({ terminal: true, consoleSize: { width: 80, height: 25 } });
});

test('another user has its home, its groups, and no capability but in the bounding set', () => {
  const base = spec();
  const process = execProcess(base, ['ls'], {}, daemon);
  expect(process.user).toMatchObject({ uid: 1, gid: 2, additionalGids: [2, 5] });
  expect(process.env).toContain('HOME=/usr/sbin');
  expect(process.capabilities).toMatchObject({ effective: [], permitted: [], inheritable: [], ambient: [] });
  expect(process.capabilities!.bounding).toEqual(base.process!.capabilities!.bounding);
});

test('privileged is every capability for root, and the bounding set for others', () => {
  expect(execProcess(spec(), ['ls'], { privileged: true }, undefined).capabilities!.effective).toContain(
    'CAP_SYS_ADMIN',
  );
  const other = execProcess(spec(), ['ls'], { privileged: true }, daemon).capabilities!;
  expect([other.effective, other.bounding!.includes('CAP_SYS_ADMIN')]).toEqual([[], true]);
});

test('what is malformed is told by its path', () => {
  expect(paths('ls -l', {})).toEqual(['/command']);
  expect(paths([], {})).toEqual(['/command']);
  const wrong = { cwd: 'relative', tty: 1, user: ':', privileged: 'yes' };
  expect(paths(['ls'], wrong).sort()).toEqual(['/cwd', '/privileged', '/tty', '/user']);
  expect(checkExec(['ls'], { workdir: '/' })[0]!.message).toContain('cwd');
  expect(paths(['ls'], { timeout: 1 })).toEqual(['/timeout']);
});
