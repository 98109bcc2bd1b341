import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, onTestFinished } from 'vitest';
import { directory, fail, host, isolated, op, opened, run, succeed } from '../support/ops.ts';
import { testIf } from '../support/requires.ts';

const test = testIf('busybox');

interface Wanted {
  readonly argv?: readonly string[];
  readonly env?: readonly string[];
  readonly timeout?: number;
  readonly path?: string;
}

const hook = ({ path = '/bin/busybox', argv = [], env = [], timeout = 0 }: Wanted) =>
  op('hook', { path, argv, env, stdin: 'state', timeout });
const script = (text: string, wanted: Wanted = {}) => hook({ argv: ['sh', '-c', text], ...wanted });

/** A state for hooks to read, and where they may write. */
async function place(state = '{"id": "a"}') {
  const at = directory();
  writeFileSync(`${at}/state`, state);
  const handle = await host.files.open(`${at}/state`, 'read');
  onTestFinished(() => handle.close());
  return {
    at,
    surroundings: { inputs: { state: handle } },
    read: (name: string) => readFileSync(`${at}/${name}`, 'utf8'),
  };
}

/** Waits until a process has ended; whoever inherited it may not have collected it. */
async function gone(pid: string): Promise<void> {
  const state = () => {
    const path = `/proc/${Number(pid)}/stat`;
    return existsSync(path) ? readFileSync(path, 'utf8').split(' ')[2] : 'Z';
  };
  for (let tries = 0; tries < 100 && state() !== 'Z'; tries++) await sleep(20);
  expect(state()).toBe('Z');
}

describe('a hook', () => {
  test('has its arguments, its environment and nothing else', async () => {
    const { at, surroundings, read } = await place();
    const env = ['A=1', 'B=two words', 'PATH=/bin'];
    const look = `busybox tr '\\0' '\\n' < /proc/$$/environ > ${at}/env; echo "$0 $#:$1" > ${at}/args
      busybox cat /proc/self/status > ${at}/status; umask > ${at}/umask`;
    await succeed([opened('other', '/'), hook({ argv: ['sh', '-c', look, 'name', 'x y'], env })], surroundings);
    expect(read('env')).toBe(`${env.join('\n')}\n`);
    expect(read('args')).toBe('name 1:x y\n');
    for (const field of ['SigBlk', 'SigIgn']) expect(read('status')).toMatch(new RegExp(`${field}:\t0{16}\n`));
    expect(read('umask')).toBe('0022\n');
    // The fourth is the directory that is read.
    const descriptors = hook({ argv: ['ls', '/proc/self/fd', '/nonexistent'] });
    expect(await fail([opened('other', '/'), descriptors], surroundings)).toMatch(/ 0 1 2 3$/);
  });

  test('leads a session of its own, in the working directory of the init', async () => {
    const { at, surroundings, read } = await place();
    await succeed([op('chdir', { path: at }), script('cat /proc/$$/stat > stat; echo $$ > pid')], surroundings);
    expect(read('stat').split(' ')[5]).toBe(read('pid').trim());
  });

  test('reads the state from its beginning, whoever has read it before', async () => {
    const { at, surroundings, read } = await place('state\n'.repeat(10_000));
    const ops = ['one', 'two', 'three'].map((name) => script(`cat > ${at}/${name}`));
    await succeed([script('head -c 3 > /dev/null'), script('true'), ...ops], surroundings);
    for (const name of ['one', 'two', 'three']) expect(read(name)).toBe('state\n'.repeat(10_000));
  });

  test('that says no stops the program, with its status and its last words', async () => {
    const { surroundings } = await place();
    expect(await fail([script('echo no; echo "not here" >&2; exit 3')], surroundings)).toBe(
      'hook hook ECANCELED exit status 3: no not here',
    );
    expect(await fail([script('exit 255')], surroundings)).toBe('hook hook ECANCELED exit status 255');
    expect(await fail([script('kill -9 $$')], surroundings)).toBe('hook hook ECANCELED signal 9');
  });

  test('may say as much as it likes: the last of it is kept, and nothing that moves a cursor', async () => {
    const { surroundings } = await place();
    const flood = await fail([script('yes ä | head -c 3000001; printf "\\033[2Jend\\n\\n"; exit 1')], surroundings);
    expect(flood).toMatch(/^hook hook ECANCELED exit status 1: (ä )+.{0,3} ?\[2Jend$/);
    expect(Buffer.byteLength(flood)).toBeLessThanOrEqual(240);
    await succeed([script('yes | head -c 3000000')], surroundings);
  });

  test('that cannot be executed says why', async () => {
    const { at, surroundings } = await place();
    expect(await fail([hook({ path: `${at}/missing` })], surroundings)).toBe(`hook execve ENOENT ${at}/missing`);
    writeFileSync(`${at}/plain`, '', { mode: 0o644 });
    expect(await fail([hook({ path: `${at}/plain` })], surroundings)).toBe(`hook execve EACCES ${at}/plain`);
    expect(await fail([hook({ path: `${at}/state`, argv: ['x'.repeat(140_000)] })], surroundings)).toMatch(
      /^hook execve (E2BIG|EACCES) /,
    );
  });

  test('that takes too long is killed with its children, and what it said is told', async () => {
    const { at, surroundings, read } = await place();
    const began = Date.now();
    const endless = script(`echo waiting; sleep 1000 & echo $! > ${at}/child; exec sleep 1000`, { timeout: 300 });
    expect(await fail([endless], surroundings)).toBe('hook hook ETIMEDOUT killed after 300 ms: waiting');
    expect(Date.now() - began).toBeLessThan(5000);
    await gone(read('child'));
  });

  test('that closes its output does not keep us busy, nor from its end', async () => {
    const { surroundings } = await place();
    const ops = [script('exec >&- 2>&-; sleep 0.3'), op('sync', { tag: 1 })];
    await succeed(ops, {
      ...surroundings,
      at: (_, { session }) => {
        const [user, system] = readFileSync(`/proc/${session.pid}/stat`, 'utf8').split(' ').slice(13, 15).map(Number);
        expect(user! + system!).toBeLessThan(10); // hundredths of a second
      },
    });
  });

  test('may leave a process behind, which holds its output and is not waited for', async () => {
    const { at, surroundings, read } = await place();
    const began = Date.now();
    const daemon = `setsid sh -c 'echo $$ > ${at}/pid; sleep 20; exit' & while [ ! -s ${at}/pid ]; do sleep 0.01; done`;
    await succeed([script(daemon, { timeout: 10_000 })], surroundings);
    expect(Date.now() - began).toBeLessThan(5000);
    const pid = Number(read('pid'));
    expect(readFileSync(`/proc/${pid}/status`, 'utf8')).toMatch(/State:\t[SR]/);
    process.kill(-pid, 9);
  });

  test('that floods from a process it left behind does not keep us either', async () => {
    const { at, surroundings, read } = await place();
    const daemon = `setsid sh -c 'echo $$ > ${at}/pid; exec yes' & while [ ! -s ${at}/pid ]; do sleep 0.01; done`;
    await succeed([script(daemon, { timeout: 10_000 })], surroundings);
    // Its reader is gone.
    await gone(read('pid'));
  });
});

testIf('userns', 'busybox')('process 1 collects what hooks orphan, and leaves alone what still runs', async () => {
  const { at, surroundings } = await place();
  mkdirSync(`${at}/proc`);
  const orphans = 'for i in 1 2 3; do sh -c "sleep 0.1 &" ; done; (setsid sleep 20 &) ; sleep 0.5';
  const states = `for s in /proc/[0-9]*/stat; do cut -d' ' -f3 $s; done | sort -u > ${at}/states; ls -d /proc/[0-9]* > ${at}/pids`;
  const proc = [
    op('fsmount', { dst: 'proc', fstype: 'proc', options: [], attributes: 0 }),
    op('attach_host', { src: 'proc', path: '/proc' }),
  ];
  const flags = isolated.user | isolated.mount | isolated.pid;
  const { exit } = await run([...proc, script(orphans), script(states), op('halt', {})], { ...surroundings, flags });
  expect(exit).toEqual({ code: 0, signal: undefined });
  expect(readFileSync(`${at}/states`, 'utf8')).not.toContain('Z');
  expect(readFileSync(`${at}/pids`, 'utf8').split('\n').length).toBeGreaterThan(3);
});
