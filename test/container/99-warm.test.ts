import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished } from 'vitest';
import { type ContainerOptions, createRuntime, type RunOptions, type RuntimeOptions } from '../../lib/index.ts';
import { defaultSpec } from '../../lib/spec/defaults.ts';
import { descendants, expectUnchanged, isAlive, look, until } from '../support/look.ts';
import { patienceMs, testIf } from '../support/requires.ts';
import { busyboxRoot } from '../support/rootfs.ts';
import { imageWith, temporaryRuntime } from '../volumes/containers.ts';

const test = testIf('userns', 'busybox');

function root() {
  const made = busyboxRoot();
  onTestFinished(() => made.remove());
  return made.path;
}

const sleeper = (more: Partial<ContainerOptions> = {}): ContainerOptions =>
  ({ rootfs: root(), command: ['sleep', '1000'], ...more }) as ContainerOptions;

/** A runtime whose containers of this kind stand ready. */
async function warmed(container: ContainerOptions, size = 1, options: RuntimeOptions = {}) {
  const runtime = await temporaryRuntime({ warm: [{ size, container }], ...options });
  expect(await runtime.warmed()).toBe(size);
  return runtime;
}

type WarmRuntime = Awaited<ReturnType<typeof warmed>>;

/** Makes a container; and says whether its first process was there before. */
async function taken(runtime: WarmRuntime, options: ContainerOptions) {
  const before = descendants();
  const container = await runtime.createContainer(options);
  return { container, ahead: before.includes(container.pid as number) };
}

/** Whether it is process 1 of a PID namespace below ours. */
const isFirst = (pid: number): boolean => {
  const status = existsSync(`/proc/${pid}/status`) ? readFileSync(`/proc/${pid}/status`, 'utf8') : '';
  return /^NSpid:\t.*\t1$/m.test(status);
};

const output = async (runtime: WarmRuntime, options: ContainerOptions) => {
  const { container, ahead } = await taken(runtime, options);
  await container.start();
  await container.wait();
  const lines: string[] = [];
  for await (const { text } of container.logs()) lines.push(text);
  return { ahead, lines };
};

test('a container of equal options is one that stands ready, made as it is taken; and another takes its place', async () => {
  const kind = sleeper({ env: { A: '1', B: '2' }, labels: { a: 'b' }, limits: {} });
  const runtime = await warmed(kind, 2);
  const since = new Date();
  expect(await runtime.containers()).toEqual([]);
  const { env: _, ...rest } = kind;
  const options = { ...rest, env: { B: '2', A: '1' }, name: 'mine' } as ContainerOptions;
  const { container, ahead } = await taken(runtime, options);
  expect(ahead).toBe(true);
  const info = await container.inspect();
  expect(info).toMatchObject({ name: 'mine', status: 'created', labels: { a: 'b' }, command: ['sleep', '1000'] });
  expect(info.created.getTime()).toBeGreaterThanOrEqual(since.getTime());
  expect((await runtime.containers()).map(({ id }) => id)).toEqual([container.id]);
  await container.start();
  expect((await container.exec(['sh', '-c', 'echo $A$B $(hostname)'])).stdout).toBe(
    `12 ${container.id.slice(0, 12)}\n`,
  );
  expect(await runtime.warmed()).toBe(2);
  await container.remove({ force: true });
  const actions: string[] = [];
  for await (const { action, id } of runtime.events({ since })) {
    expect(id).toBe(container.id);
    actions.push(action);
    if (action === 'remove') break;
  }
  expect(actions).toEqual(['create', 'start', 'exec', 'exit', 'remove']);
});

test('the place of one that was taken is filled after its start, without being asked to', async () => {
  const kind = sleeper();
  const runtime = await warmed(kind);
  const first = await taken(runtime, kind);
  await first.container.start();
  let next = false;
  // Whoever asks before has one of their own, which is started, too.
  for (const giveUp = Date.now() + patienceMs; !next && Date.now() < giveUp; ) {
    const { container, ahead } = await taken(runtime, kind);
    next = ahead;
    await container.start();
    await container.remove({ force: true });
  }
  expect([first.ahead, next]).toEqual([true, true]);
});

test('`run` has one as well, with its input and its limit of time', async () => {
  const kind = sleeper({ command: ['cat'], stdin: 'pipe' });
  const runtime = await warmed(kind);
  const { stdin: _, ...options } = kind;
  expect(
    await runtime.run({ ...options, input: 'hello', timeout: patienceMs } as ContainerOptions & RunOptions),
  ).toMatchObject({
    stdout: 'hello',
    exitCode: 0,
  });
});

test('whoever asks for something else has a container of their own', async () => {
  const kind = sleeper({ env: { A: '1' } });
  const runtime = await warmed(kind);
  const others: Partial<ContainerOptions>[] = [
    { env: { A: '2' } },
    { command: ['sleep', '1001'] },
    { stdin: 'pipe' },
    { spec: () => {} },
  ];
  for (const other of others) {
    const { container, ahead } = await taken(runtime, { ...kind, ...other } as ContainerOptions);
    expect(ahead).toBe(false);
    await container.remove();
  }
  expect((await taken(runtime, kind)).ahead).toBe(true);
});

test('a user, a terminal, no new privileges or all of them, a filter that lets nobody wait: each begins as it would', async () => {
  const rootfs = root();
  const base = {
    rootfs,
    command: ['sh', '-c', 'id -u; grep -E "^(NoNewPrivs|Seccomp|CapEff):" /proc/self/status; ls /proc/self/fd'],
  };
  const silent = {
    defaultAction: 'SCMP_ACT_ALLOW',
    syscalls: [{ names: ['recvmsg'], action: 'SCMP_ACT_ERRNO', errnoRet: 38 }],
  };
  const kinds: readonly ContainerOptions[] = (
    [
      base,
      { ...base, user: '1:1' },
      { ...base, tty: true },
      { ...base, noNewPrivileges: false },
      { ...base, seccomp: 'unconfined' },
      { ...base, seccomp: silent },
      { ...base, capabilities: { add: ['CAP_SYS_PTRACE'] } },
      { ...base, init: false },
    ] as readonly ContainerOptions[]
  ).filter(({ user }) => user === undefined || process.getuid?.() === 0);
  const runtime = await temporaryRuntime({ warm: kinds.map((container) => ({ size: 1, container })) });
  expect(await runtime.warmed()).toBe(kinds.length);
  const cold = await temporaryRuntime();
  for (const kind of kinds) {
    const [mine, theirs] = [await output(runtime, kind), await output(cold, kind)];
    expect([mine.ahead, theirs.ahead]).toEqual([true, false]);
    expect(mine.lines.length).toBeGreaterThan(4);
    expect(mine.lines).toEqual(theirs.lines);
  }
});

test('one whose command is not there any more fails at its start, as another would', async () => {
  const rootfs = root();
  writeFileSync(join(rootfs, 'bin/tool'), '#!/bin/sh\n', { mode: 0o755 });
  const kind = { rootfs, command: ['tool'] };
  const runtime = await warmed(kind);
  rmSync(join(rootfs, 'bin/tool'));
  const { container, ahead } = await taken(runtime, kind);
  expect(ahead).toBe(true);
  await expect(container.start()).rejects.toMatchObject({ code: 'ERR_EXEC' });
  await expect(runtime.createContainer(kind)).rejects.toMatchObject({ code: 'ERR_EXEC' });
});

test('one that is told to be stopped, or is aborted, is so; an aborted signal takes none', async () => {
  const kind = sleeper({ command: ['sh', '-c', 'trap "exit 7" TERM; sleep 1000 & wait'] });
  const runtime = await warmed(kind);
  const gone = AbortSignal.abort();
  await expect(runtime.createContainer({ ...kind, signal: gone })).rejects.toMatchObject({ code: 'ERR_CANCELED' });
  const controller = new AbortController();
  const { container, ahead } = await taken(runtime, { ...kind, signal: controller.signal });
  expect(ahead).toBe(true);
  await container.start();
  controller.abort();
  expect(await until(() => container.status === 'stopped', patienceMs)).toBe(true);
});

test('what was made ahead of a change of the host is nobody’s', async () => {
  const rootfs = root();
  const file = join(rootfs, 'note');
  const bound = join(root(), 'bound');
  writeFileSync(bound, 'old\n');
  writeFileSync(file, 'old\n');
  mkdirSync(join(rootfs, 'work'));
  const mounts = [{ type: 'bind', source: bound, target: '/bound' }] as const;
  const kind = { rootfs, mounts, cwd: '/work', command: ['sh', '-c', 'cat /note /bound; ls; echo $HOME'] };
  const account = (home: string) => writeFileSync(join(rootfs, 'etc/passwd'), `root:x:0:0::${home}:/bin/sh\n`);
  account('/a');
  const options = { ...kind, user: 'root' };
  const runtime = await warmed(options);
  const changes: readonly (readonly [() => void, readonly string[]])[] = [
    [() => undefined, ['old', 'old', '/a']],
    [
      () => {
        renameSync(join(rootfs, 'work'), join(rootfs, 'old'));
        mkdirSync(join(rootfs, 'work'));
        writeFileSync(join(rootfs, 'work/made'), '');
      },
      ['old', 'old', 'made', '/a'],
    ],
    [
      () => {
        writeFileSync(`${bound}.new`, 'new\n');
        renameSync(`${bound}.new`, bound);
      },
      ['old', 'new', 'made', '/a'],
    ],
    [() => account('/b'), ['old', 'new', 'made', '/b']],
  ];
  for (const [i, [change, lines]] of changes.entries()) {
    expect(await runtime.warmed()).toBe(1);
    change();
    expect(await output(runtime, options)).toEqual({ ahead: i === 0, lines });
  }
  // The same place, another directory.
  expect(await runtime.warmed()).toBe(1);
  const other = root();
  writeFileSync(join(other, 'note'), 'other\n');
  renameSync(rootfs, `${rootfs}.old`);
  onTestFinished(() => rmSync(`${rootfs}.old`, { recursive: true, force: true }));
  renameSync(other, rootfs);
  mkdirSync(join(rootfs, 'work'));
  account('/c');
  expect(await output(runtime, options)).toEqual({ ahead: false, lines: ['other', 'new', '/c'] });
});

test('a bundle is as its configuration is now', async () => {
  const rootfs = root();
  const spec = defaultSpec();
  const bundle = join(rootfs, '..', `${rootfs.split('/').at(-1)}-bundle`);
  mkdirSync(bundle);
  onTestFinished(() => rmSync(bundle, { recursive: true, force: true }));
  const write = (word: string, more: object = {}) => {
    const process_ = { ...spec.process, args: ['echo', word] };
    writeFileSync(
      join(bundle, 'config.json'),
      JSON.stringify({ ...spec, process: process_, root: { path: rootfs }, ...more }),
    );
  };
  write('one');
  const runtime = await warmed({ bundle });
  expect(await output(runtime, { bundle })).toEqual({ ahead: true, lines: ['one'] });
  expect(await runtime.warmed()).toBe(1);
  write('two');
  expect(await output(runtime, { bundle })).toEqual({ ahead: false, lines: ['two'] });
  expect(await runtime.warmed()).toBe(1);
  write('three', { hooks: { poststart: [{ path: '/bin/true' }] } });
  await expect(runtime.createContainer({ bundle })).rejects.toMatchObject({ code: 'ERR_UNSUPPORTED' });
  expect(await runtime.warmed()).toBe(0);
});

test('an image is the one that has the name now, and is not in use by what is nobody’s', async () => {
  const kind = { image: 'app', command: ['cat', '/file'], pull: 'never' as const };
  const runtime = await temporaryRuntime({ warm: [{ size: 1, container: kind }] });
  // It is brought for whoever asks for it, and not before.
  expect(await runtime.warmed()).toBe(0);
  await imageWith(runtime, [{ name: 'file', content: 'one\n' }]);
  await imageWith(runtime, [{ name: 'file', content: 'two\n' }], [], 'other');
  expect(await runtime.warmed()).toBe(1);
  expect((await runtime.images.get('app')).containers).toEqual([]);
  expect(await output(runtime, kind)).toEqual({ ahead: true, lines: ['one'] });
  expect(await runtime.warmed()).toBe(1);
  await runtime.images.tag('other', 'app');
  expect(await output(runtime, kind)).toEqual({ ahead: false, lines: ['two'] });
  expect(await runtime.warmed()).toBe(1);
  for (const { id } of await runtime.containers()) await (await runtime.container(id)).remove({ force: true });
  await runtime.images.remove('app', { force: false });
  await expect(runtime.createContainer(kind)).rejects.toMatchObject({ code: 'ERR_NOT_FOUND' });
});

test('an image with volumes has none ahead: nobody sees one that nobody asked for', async () => {
  const kind = { image: 'app', command: ['true'] };
  const runtime = await temporaryRuntime({ warm: [{ size: 1, container: kind }] });
  await imageWith(runtime, [], ['/data']);
  expect(await runtime.warmed()).toBe(0);
  expect(await runtime.volumes.list()).toEqual([]);
});

test('what cannot be made is told to who asks for it, as without', async () => {
  const missing = { rootfs: '/no/such', command: ['true'] };
  const nothing = sleeper({ command: ['no-such-command'] });
  const runtime = await temporaryRuntime({
    warm: [missing, nothing].map((container) => ({ size: 3, container })),
  });
  expect(await runtime.warmed()).toBe(0);
  await expect(runtime.createContainer(missing)).rejects.toMatchObject({ code: 'ERR_NOT_FOUND', origin: '/rootfs' });
  await expect(runtime.createContainer(nothing)).rejects.toMatchObject({ code: 'ERR_EXEC' });
});

test('one that somebody has killed is given to nobody', async () => {
  const kind = sleeper();
  const before = descendants();
  const runtime = await warmed(kind);
  const [pid = 0, ...others] = descendants().filter((each) => !before.includes(each) && isFirst(each));
  expect([pid > 0, others]).toEqual([true, []]);
  process.kill(pid, 'SIGKILL');
  expect(await until(() => !existsSync(`/proc/${pid}`), patienceMs)).toBe(true);
  const { container } = await taken(runtime, kind);
  await container.start();
  expect(isAlive(container.pid as number)).toBe(true);
});

test('options that cannot be made ahead are refused, each by its name', () => {
  const refused = (container: object, size: unknown = 1): string[] => {
    try {
      createRuntime({ warm: [{ size, container }] } as unknown as RuntimeOptions);
      return [];
    } catch (error) {
      return (error as { issues: { path: string }[] }).issues.map(({ path }) => path);
    }
  };
  const kind = { rootfs: '/', command: ['true'] };
  const at = (name: string) => [`/warm/0/container/${name}`];
  expect(refused(kind, 0)).toEqual(['/warm/0/size']);
  expect(refused({ command: ['true'] })).toEqual(['/warm/0/container']);
  expect(refused({ ...kind, name: 'a' })).toEqual(at('name'));
  expect(refused({ ...kind, ready: () => Promise.resolve() })).toEqual(at('ready'));
  expect(refused({ ...kind, spec: () => undefined })).toEqual(at('spec'));
  expect(refused({ ...kind, detached: true })).toEqual(at('detached'));
  expect(refused({ ...kind, systemView: 'limits' })).toEqual(at('systemView'));
  expect(refused({ ...kind, stdout: 'inherit' })).toEqual(at('stdout'));
  expect(refused({ ...kind, mounts: [{ type: 'volume', target: '/v' }] })).toEqual(at('mounts'));
  expect(refused({ image: 'a', pull: 'always' })).toEqual(at('pull'));
  expect(() => createRuntime({ warm: {} } as unknown as RuntimeOptions)).toThrow('must be a list');
});

test('what nobody has taken goes with the runtime, and leaves nothing', async () => {
  const kind = sleeper();
  const cold = await temporaryRuntime();
  await cold.run({ ...kind, command: ['true'] });
  await cold[Symbol.asyncDispose]();
  const before = look();
  const runtime = createRuntime({
    root: cold.data,
    state: join(cold.directory, 'state'),
    warm: [{ size: 3, container: kind }],
  });
  expect(await runtime.warmed()).toBe(3);
  await runtime.createContainer(kind);
  await runtime[Symbol.asyncDispose]();
  await expectUnchanged(before);
});

test('what nobody has taken goes with a process that is killed, and does not keep one that has nothing else to do', async () => {
  const cold = await temporaryRuntime();
  await imageWith(cold, []);
  const run = (end: string) => {
    const program = `
      import { createRuntime } from '${new URL('../../dist/lib/index.js', import.meta.url).href}';
      import { readdirSync, readFileSync } from 'node:fs';
      const [root, state] = process.argv.slice(1);
      const container = { image: 'app', command: ['sleep', '1000'] };
      const runtime = createRuntime({ root, state, warm: [{ size: 2, container }] });
      const made = await runtime.warmed();
      const tasks = (pid) => readdirSync('/proc/' + pid + '/task').map((task) => '/proc/' + pid + '/task/' + task + '/children');
      const ofTask = (path) => readFileSync(path, 'utf8').trim().split(' ').filter((pid) => pid !== '').map(Number);
      const below = (pid) => tasks(pid).flatMap(ofTask).flatMap((child) => [child, ...below(child)]);
      console.log(JSON.stringify({ made, processes: below(process.pid) }));
      ${end}`;
    const args = ['--input-type=module', '-e', program, cold.data, join(cold.directory, 'killed')];
    const { stdout, signal } = spawnSync(process.execPath, args, { encoding: 'utf8', timeout: patienceMs });
    return { ...(JSON.parse(stdout) as { made: number; processes: number[] }), signal };
  };
  for (const [end, signal] of [
    ["process.kill(process.pid, 'SIGKILL');", 'SIGKILL'],
    ['', null],
  ] as const) {
    const ended = run(end);
    expect(ended).toMatchObject({ made: 2, signal });
    expect(ended.processes.length).toBeGreaterThanOrEqual(2);
    expect(await until(() => !ended.processes.some(isAlive), patienceMs)).toBe(true);
    expect(await until(() => readdirSync(join(cold.data, 'containers')).length === 0, patienceMs)).toBe(true);
  }
});
