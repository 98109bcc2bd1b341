import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished } from 'vitest';
import {
  type Container,
  type ContainerOptions,
  createRuntime,
  type LogLine,
  type LogOptions,
  type Runtime,
} from '../../lib/index.ts';
import { Fixture } from '../lifetime/fixture.ts';
import { descendants } from '../support/look.ts';
import { patienceMs, testIf } from '../support/requires.ts';
import { temporaryDirectory } from '../support/unpacked.ts';

const test = testIf('userns');

interface Place {
  readonly root: string;
  readonly state: string;
  runtime(): Runtime;
}

async function place(): Promise<Place> {
  const directory = await temporaryDirectory();
  const [root, state] = [join(directory, 'root'), join(directory, 'state')];
  return { root, state, runtime: () => createRuntime({ root, state }) };
}

const shell = (script: string, more: object = {}) =>
  ({ host: true, detached: true, command: ['sh', '-c', script], ...more }) as ContainerOptions & { host: true };

async function lines(container: Container, options: LogOptions = {}): Promise<LogLine[]> {
  const found: LogLine[] = [];
  for await (const line of container.logs(options)) found.push(line);
  return found;
}
const texts = async (container: Container, options: LogOptions = {}) =>
  (await lines(container, options)).map(({ text }) => text);

async function until(holds: () => Promise<boolean> | boolean): Promise<void> {
  const giveUp = performance.now() + patienceMs;
  while (!(await holds())) {
    if (performance.now() > giveUp) throw new Error('it did not come to be');
    await sleep(20);
  }
}

/** Containers whose maker was killed. */
async function orphans({ root, state }: Place, all: readonly object[]): Promise<Readonly<Record<string, number>>> {
  const maker = new Fixture('detached', [root, state, JSON.stringify(all)]);
  const pids = await maker.says<Record<string, number>>();
  maker.process.kill('SIGKILL');
  await maker.ended;
  return pids;
}

/** Something that a container waits for. */
async function fifo({ root }: Place): Promise<object> {
  const directory = join(root, 'go');
  mkdirSync(directory, { recursive: true });
  expect(spawnSync('mkfifo', ['-m', '666', join(directory, 'fifo')]).status).toBe(0);
  return { mounts: [{ type: 'bind', source: directory, target: '/go' }] };
}

const filesOf = ({ root }: Place) =>
  readdirSync(root, { recursive: true })
    .map(String)
    .filter((name) => /[0-9a-f]{64}/.test(name));

// One maker for all of it: a Node of its own takes seconds to begin where many tests run.
test('containers outlive their maker, and another process takes them over', async () => {
  const here = await place();
  const pids = await orphans(here, [
    {
      name: 'service',
      labels: { for: 'test' },
      command: ['sh', '-c', 'echo begin; trap "echo stopping; exit 7" TERM; while :; do sleep 0.05; done'],
    },
    { name: 'short', command: ['sh', '-c', 'sleep 0.3; echo out; echo err >&2; printf half; exit 3'] },
    { name: 'killed', command: ['sleep', '1000'] },
    { name: 'wanted', restart: 'unless-stopped', command: ['sleep', '1000'] },
  ]);
  await using runtime = here.runtime();
  const [info] = await runtime.containers({ labels: { for: 'test' } });
  expect(info).toMatchObject({ pid: pids['service'], name: 'service', status: 'running', detached: true });
  const service = await runtime.container('service');
  expect((await service.exec(['sh', '-c', 'echo $PPID'])).stdout).toBe('0\n');
  const following = texts(service, { follow: true });
  const waiting = service.wait();
  expect(await service.stop()).toMatchObject({ exitCode: 7, signal: undefined });
  expect(await waiting).toMatchObject({ exitCode: 7 });
  expect(await following).toEqual(['begin', 'stopping']);
  await service.remove();
  await expect(service.exec(['true'])).rejects.toMatchObject({ code: 'ERR_NOT_FOUND' });

  // What it wrote and how it ended, though nobody was there.
  const short = await runtime.container('short');
  expect(await short.wait()).toEqual({ exitCode: 3, signal: undefined, oomKilled: false });
  const found = (await lines(short)).map(({ stream, text }) => `${stream} ${text}`);
  expect(found.sort()).toEqual(['stderr err', 'stdout half', 'stdout out']);

  // Without process 1 there is nobody who could note how it ended.
  for (const name of ['killed', 'wanted']) process.kill(pids[name] as number, 'SIGKILL');
  const killed = await runtime.container('killed');
  expect(await killed.wait()).toEqual({ exitCode: undefined, signal: undefined, oomKilled: false });
  expect((await killed.inspect()).status).toBe('stopped');

  const wanted = await runtime.container('wanted');
  await until(async () => (await wanted.inspect()).status === 'stopped');
  await runtime.restore();
  expect((await wanted.inspect()).status).toBe('running');
  expect((await killed.inspect()).status).toBe('stopped');

  for (const { id } of await runtime.containers()) await (await runtime.container(id)).remove({ force: true });
  expect(await runtime.containers()).toEqual([]);
  expect(filesOf(here)).toEqual([]);
}, 120_000);

test('it is started again over the same files, and its log goes on', async () => {
  const here = await place();
  await using runtime = here.runtime();
  const { root } = here;
  const container = await runtime.createContainer(
    shell('cat /data/runs 2>/dev/null; echo x >>/data/runs', {
      mounts: [{ type: 'volume', source: 'v', target: '/data' }],
    }),
  );
  expect(container.status).toBe('created');
  for (let i = 0; i < 3; i++) {
    await container.start();
    await container.wait();
  }
  expect(await texts(container)).toEqual(['x', 'x', 'x']);
  await expect(runtime.volumes.remove('v')).rejects.toMatchObject({ code: 'ERR_STATE' });
  await container.remove();
  await runtime.volumes.remove('v');
  expect(statSync(root).isDirectory()).toBe(true);
});

test('a name is one container’s, and the error says whose', async () => {
  await using runtime = (await place()).runtime();
  const container = await runtime.createContainer(shell('true', { name: 'taken' }));
  await expect(runtime.createContainer(shell('true', { name: 'taken' }))).rejects.toMatchObject({
    code: 'ERR_EXISTS',
    message: expect.stringContaining(container.id.slice(0, 12)),
  });
  // Whether or not the other one outlives its maker.
  const { detached: _, ...own } = shell('true', { name: 'taken' });
  await expect(runtime.createContainer(own)).rejects.toMatchObject({ code: 'ERR_EXISTS' });
  await container.remove();
  await using kept = await runtime.createContainer(own);
  await expect(runtime.createContainer(shell('true', { name: 'taken' }))).rejects.toMatchObject({ code: 'ERR_EXISTS' });
  expect(await runtime.container('taken')).toBe(kept);
});

test('removal ends what runs only by force, and leaves nothing', async () => {
  const here = await place();
  await using runtime = here.runtime();
  const before = descendants().length;
  const container = await runtime.createContainer(shell('sleep 1000'));
  await container.start();
  await expect(container.remove()).rejects.toMatchObject({ code: 'ERR_STATE' });
  await container.remove({ force: true });
  await container.remove();
  expect(filesOf(here)).toEqual([]);
  // With it goes the keeper that it had ready for the next one.
  await runtime[Symbol.asyncDispose]();
  await until(() => descendants().length <= before);
});

test('a runtime that is disposed leaves detached containers running', async () => {
  const here = await place();
  await (async () => {
    await using runtime = here.runtime();
    await (await runtime.createContainer(shell('sleep 1000', { name: 'stays' }))).start();
  })();
  await using runtime = here.runtime();
  const container = await runtime.container('stays');
  expect((await container.inspect()).status).toBe('running');
  await container.remove({ force: true });
});

test('a flood is bounded: the newest lines stay, whole and in order', async () => {
  const here = await place();
  await using runtime = here.runtime();
  const count = 1_000_000;
  const container = await runtime.createContainer(
    shell(`seq -f '%099.0f' ${count}`, { log: { maxSize: 65_536, maxFiles: 3 } }),
  );
  await container.start();
  await container.wait();
  const found = (await texts(container)).map(Number);
  expect(found.at(-1)).toBe(count);
  expect(found.length).toBeGreaterThan(300);
  expect(found).toEqual(Array.from({ length: found.length }, (_, i) => count - found.length + 1 + i));
  expect((await container.inspect()).logs).toEqual({ droppedLines: count - found.length });
  const directory = join(here.root, 'detached', container.id);
  const sizes = readdirSync(directory).filter((name) => name.startsWith('log.'));
  expect(sizes.length).toBe(3);
  for (const name of sizes) expect(statSync(join(directory, name)).size).toBeLessThanOrEqual(65_536);
  await container.remove();
}, 60_000);

testIf('userns', 'root')('a disk that is full costs lines, and neither the command nor its exit status', async () => {
  const here = await place();
  const detached = join(here.root, 'detached');
  mkdirSync(detached, { recursive: true, mode: 0o700 });
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=512k,mode=0700', 'tmpfs', detached]);
  expect(mounted.status).toBe(0);
  onTestFinished(() => void spawnSync('umount', ['-l', detached]));
  await using runtime = here.runtime();
  const container = await runtime.createContainer(shell('read go </go/fifo; seq 200000; exit 5', await fifo(here)));
  await container.start();
  expect(() => writeFileSync(join(detached, 'ballast'), Buffer.alloc(1024 * 1024))).toThrow('ENOSPC');
  writeFileSync(join(here.root, 'go', 'fifo'), 'go\n');
  expect(await container.wait()).toMatchObject({ exitCode: 5 });
  const found = await texts(container);
  expect(found.length).toBeLessThan(200_000);
  expect((await container.inspect()).logs.droppedLines).toBe(200_000 - found.length);
  rmSync(join(detached, 'ballast'));
  await container.remove();
});

test('a log of very many lines is read whole, and timers run meanwhile', async () => {
  await using runtime = (await place()).runtime();
  const log = { maxSize: 64 * 1024 * 1024, maxFiles: 2 };
  const container = await runtime.createContainer(shell('seq 1 400000', { log }));
  await container.start();
  expect((await container.inspect()).logs).toEqual({ droppedLines: undefined });
  await container.wait();
  let turns = 0;
  let count = 0;
  let timer: NodeJS.Timeout | undefined;
  for await (const _ of container.logs()) {
    timer ??= setInterval(() => turns++, 1);
    count++;
  }
  clearInterval(timer);
  expect(count).toBe(400_000);
  expect(turns).toBeGreaterThan(5);
  expect((await container.inspect()).logs).toEqual({ droppedLines: 0 });
  await container.remove();
}, 60_000);

test('the log is in the format of the CRI; long lines come in parts, and bytes as they are', async () => {
  const here = await place();
  await using runtime = here.runtime();
  const container = await runtime.createContainer(
    shell("head -c 40000 /dev/zero | tr '\\0' 'a'; echo; printf '\\377\\0z\\n'; printf 'dos\\r\\n'"),
  );
  await container.start();
  await container.wait();
  const bytes = readFileSync(join(here.root, 'detached', container.id, 'log.0'));
  const time = String.raw`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z`;
  const kinds = bytes.toString('latin1').trimEnd().split('\n');
  expect(kinds.map((line) => new RegExp(`^${time} stdout ([FP]) `).exec(line)?.[1]).join('')).toBe('PPFFF');
  expect(bytes.includes(Buffer.from([0xff, 0, 0x7a, 0x0a]))).toBe(true);
  const found = await texts(container);
  expect(found.slice(0, 3).join('')).toBe('a'.repeat(40_000));
  expect(found.slice(3)).toEqual(['\ufffd\0z', 'dos']);
  await container.remove();
});

test('since, until and tail choose lines', async () => {
  await using runtime = (await place()).runtime();
  const container = await runtime.createContainer(shell('for i in 1 2 3 4; do echo $i; sleep 0.05; done'));
  await container.start();
  await container.wait();
  const all = await lines(container);
  expect(all.map(({ text }) => text)).toEqual(['1', '2', '3', '4']);
  expect(await texts(container, { tail: 2 })).toEqual(['3', '4']);
  expect(await texts(container, { since: all[1]!.at, until: all[3]!.at })).toEqual(['2', '3']);
  await container.remove();
});

test('a policy starts it again, counts, and gives up; and a stop is the last word', async () => {
  await using runtime = (await place()).runtime();
  const failing = await runtime.createContainer(
    shell('echo run; exit 1', { restart: { policy: 'on-failure', retries: 2 } }),
  );
  const ends: unknown[] = [];
  const stop = new AbortController();
  const listening = (async () => {
    for await (const event of runtime.events({ signal: stop.signal })) {
      if (event.type === 'container' && event.action === 'exit') ends.push(event.exit?.exitCode);
      if (ends.length === 3) return;
    }
  })();
  await failing.start();
  await listening;
  await until(async () => (await failing.inspect()).status === 'stopped');
  expect((await failing.inspect()).restarts).toBe(2);
  expect(await texts(failing)).toEqual(['run', 'run', 'run']);
  await failing.remove();

  const always = await runtime.createContainer(shell('sleep 1000', { restart: 'always' }));
  await always.start();
  const first = (await always.inspect()).pid;
  await always.kill();
  await until(async () => {
    const { status, pid } = await always.inspect();
    return status === 'running' && pid !== first;
  });
  await always.stop({ grace: 0 });
  await sleep(300); // longer than its first pause
  expect((await always.inspect()).status).toBe('stopped');
  await always.remove();
});

test('what a container without an owner cannot have is refused in words', async () => {
  await using runtime = (await place()).runtime();
  const refused: readonly [object, string][] = [
    [{ tty: true }, '/tty'],
    [{ stdin: 'pipe' }, '/stdin'],
    [{ stdout: 'inherit' }, '/stdout'],
    [{ init: false }, '/init'],
    [{ detached: false, log: { maxFiles: 2 } }, '/log'],
  ];
  for (const [more, path] of refused) {
    await expect(runtime.createContainer(shell('true', more)), path).rejects.toMatchObject({
      code: 'ERR_SPEC',
      issues: [expect.objectContaining({ path })],
    });
  }
  const traced = shell('true', { capabilities: { add: ['CAP_SYS_PTRACE'] } });
  await expect(runtime.createContainer(traced)).rejects.toMatchObject({ code: 'ERR_UNSUPPORTED' });
  const { detached: _, ...plain } = shell('true');
  await expect(runtime.run({ ...plain, detached: true } as never)).rejects.toMatchObject({ code: 'ERR_SPEC' });
  const { host: _host, ...unrooted } = shell('true');
  await expect(runtime.createContainer({ ...unrooted, from: { id: 'a'.repeat(64) } } as never)).rejects.toMatchObject({
    issues: [expect.objectContaining({ path: '/from' })],
  });
  const { root, state } = await place();
  await using ephemeral = createRuntime({ root, state, ephemeral: true });
  await expect(ephemeral.createContainer(shell('true'))).rejects.toMatchObject({
    code: 'ERR_SPEC',
    origin: '/detached',
  });
});

test('a command that is not there fails the start, and the container stays as it was made', async () => {
  await using runtime = (await place()).runtime();
  const { command: _, ...rest } = shell('');
  const container = await runtime.createContainer({ ...rest, network: 'host', command: ['/no/such'] });
  await expect(container.start()).rejects.toMatchObject({ code: 'ERR_EXEC' });
  expect(container.address(80)).toEqual({ host: '127.0.0.1', port: 80 });
  await expect(container.snapshot()).rejects.toMatchObject({
    code: 'ERR_UNSUPPORTED',
    message: expect.stringContaining('detached'),
    hint: expect.stringContaining('images.commit'),
  });
  expect((await container.inspect()).status).toBe('created');
  await container.remove();
});

test('nothing of the host is within reach through process 1', async () => {
  const here = await place();
  await using runtime = here.runtime();
  const container = await runtime.createContainer(shell('sleep 1000'));
  await container.start();
  const script =
    'for f in /proc/1/fd/*; do readlink $f && echo reached; ( : >>$f ) && echo reached; done 2>/dev/null; true';
  expect((await container.exec(['sh', '-c', script])).stdout).toBe('');
  const held = readdirSync(`/proc/${container.pid}/fd`);
  // Two pipes, three segments, the exit file, and its signals: no directory, no socket.
  expect(held.length).toBe(7);
  await container.remove({ force: true });
});
