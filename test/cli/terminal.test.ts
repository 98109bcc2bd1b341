import { execFileSync, spawnSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { testIf } from '../support/requires.ts';
import { busyboxRoot, type TemporaryDirectory } from '../support/rootfs.ts';
import { inTerminal, shell } from './runts.ts';

const test = testIf('userns', 'busybox', 'script');
let root: TemporaryDirectory;
beforeAll(() => {
  root = busyboxRoot();
});
afterAll(() => root.remove());
const terminal = (script: string) => inTerminal(script, { env: { ROOT: root.path } });
const prompt = '/ # ';
/** The shell names the job before it gives it the terminal. */
const settled = () => new Promise((resolve) => setTimeout(resolve, 300));

test('a shell has our terminal: its size and job control, and the exit code is ours', async () => {
  const { shows, type, ended } = terminal('$RUNTS run -it --rootfs $ROOT -- sh; echo "code $?"; stty -a');
  await shows(prompt);
  type('stty size; tty\n');
  await shows('27 91');
  await shows('/dev/pts/0');
  type('sleep 100 &\n');
  await shows('sleep 100 &');
  type('fg\n');
  await shows('fg');
  await shows('sleep 100');
  await settled();
  type('\x1a');
  await shows('Stopped');
  type('fg\n');
  await shows('sleep 100');
  await settled();
  type('\x03');
  await shows(prompt);
  type('exit 9\n');
  await shows('code 9');
  const { stdout } = await ended;
  // As it was: stty shows what is switched off with a minus.
  expect(stdout).toMatch(/\sicanon\s/);
  expect(stdout).toMatch(/\secho\s/);
  expect(stdout).toMatch(/\sopost\s/);
});

test('a new size of our terminal reaches the command', async () => {
  const script = 'trap "stty size; exit" WINCH; echo up; while :; do sleep 0.1; done';
  const { shows, shown, ended } = terminal(`tty; $RUNTS run -it --rootfs $ROOT -- sh -c '${script}'`);
  await shows('up');
  const ours = /\/dev\/pts\/\d+/.exec(shown())?.[0] as string;
  execFileSync('stty', ['-F', ours, 'cols', '60', 'rows', '20']);
  await shows('20 60');
  expect((await ended).code).toBe(0);
});

describe('keys', () => {
  test.each([
    ['Ctrl-C', '\x03', 130],
    ['Ctrl-\\', '\x1c', 131],
    ['Ctrl-D', '\x04', 0],
  ])('%s goes inside', async (_name, key, code) => {
    const { shows, type, ended } = terminal("$RUNTS run -it --rootfs $ROOT -- sh -c 'echo up; exec cat'");
    await shows('up');
    type(key);
    // A shell that is about to become another program may let a signal pass: then it is pressed again.
    const again = setInterval(() => type(key), 2000);
    expect((await ended.finally(() => clearInterval(again))).code).toBe(code);
  });
});

test('the bytes of the command are shown as they are: a line feed alone stays one', async () => {
  const { ended } = terminal('$RUNTS run -it --rootfs $ROOT -- sh -c \'stty -opost; printf "<a\\nb>"\'');
  expect((await ended).stdout).toContain('<a\nb>');
});

test('the terminal is given back when the command is killed, and when there is none', async () => {
  const killed = terminal("$RUNTS run -it --rootfs $ROOT -- sh -c 'kill -9 $$'; echo code $?; stty -a");
  expect((await killed.ended).stdout).toMatch(/code 137[\s\S]*\sicanon\s/);
  const missing = terminal('$RUNTS run -it --rootfs $ROOT -- nosuch; echo code $?; stty -a');
  expect((await missing.ended).stdout).toMatch(/executable file not found[\s\S]*code 127[\s\S]*\sicanon\s/);
});

test('when our terminal is gone the one inside is too', async () => {
  const { child, shows, ended } = terminal("exec $RUNTS run -it --rootfs $ROOT -- sh -c 'echo up; exec sleep 27182'");
  await shows('up');
  child.kill('SIGKILL');
  await ended;
  await expect.poll(() => spawnSync('pgrep', ['-f', '^sleep 27182$']).status, { timeout: 5000 }).toBe(1);
});

test('with -t alone the command has a terminal, and what is piped to us is typed there', async () => {
  const { code, stdout } = await shell("echo 'tty; exit 3' | $RUNTS run -t --rootfs $ROOT -- sh", {
    env: { ROOT: root.path },
  });
  expect({ code, stdout }).toEqual({ code: 3, stdout: expect.stringContaining('/dev/pts/0\r\n') });
});
