import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, readlinkSync, rmdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import type { Session } from '../../lib/host/host.ts';
import { orThrow } from '../../lib/node/failure.ts';
import { native } from '../../lib/node/native.ts';
import { NodeSession } from '../../lib/node/session.ts';
import { zygoteTag } from '../../lib/plan/zygote.ts';
import { cloneMessage, goMessage } from '../../lib/program/frames.ts';
import { descendants, expectUnchanged, look } from '../support/look.ts';
import { directory, halt, host, op } from '../support/ops.ts';
import { cgroup2Root, patienceMs, testIf } from '../support/requires.ts';
import { end, frameOf, runIn } from '../support/sessions.ts';
import { copied, errandOf, idleAfter, patientZygote, sessions, status, touching, waits, zygote } from './copying.ts';

test('a zygote can be asked as soon as it was told to go on', async () => {
  for (let round = 0; round < 200; round++) {
    const by = await patientZygote();
    expect((await copied(by, errandOf(halt))).pid).not.toBe(by.pid);
    await sessions.endAll();
  }
});

test('a copy is a child of ours that does what it was given', async () => {
  const by = await patientZygote();
  const copy = await copied(by);
  expect(status(copy.pid, 'PPid')).toBe(String(process.pid));
  expect(await frameOf(copy)).toEqual({ kind: 'sync', tag: 7 });
  await copy.send(goMessage(7));
  expect(await frameOf(copy)).toEqual({ kind: 'done', tag: 0 });
  expect(await copy.exit).toEqual({ code: 0, signal: undefined });
});

test('of a copy that somebody stays with all is known when it is told of', async () => {
  const by = await patientZygote();
  const before = look();
  const copy = await host.processes.forkBy(by, { errand: errandOf(halt), stayMs: patienceMs });
  expect(copy.over).toMatchObject({ exit: { code: 0 }, frames: [{ kind: 'done', tag: 0 }] });
  expect(copy.pid).not.toBe(by.pid);
  const nowhere = errandOf(op('chdir', { path: '/nowhere' }), halt);
  const failed = await host.processes.forkBy(by, { errand: nowhere, stayMs: patienceMs });
  expect(failed.over?.frames).toMatchObject([{ kind: 'error', op: 'chdir', errno: 2, detail: '/nowhere' }]);
  const killed = errandOf(op('exec', { files: ['/bin/sh'], argv: ['sh', '-c', 'kill -9 $$'], env: [] }));
  const dead = await host.processes.forkBy(by, { errand: killed, stayMs: patienceMs });
  expect(dead.over).toMatchObject({ exit: { code: undefined, signal: 9 }, frames: [] });
  for (const session of [copy, failed, dead]) {
    session.close();
    session.process.close();
  }
  await expectUnchanged(before);
});

test('a copy has nothing of its zygote but the null device and its channel, and no environment', async () => {
  const by = await patientZygote();
  await copied(by);
  const peer = await copied(by);
  expect(await frameOf(peer)).toEqual({ kind: 'sync', tag: 7 });
  expect(readdirSync(`/proc/${peer.pid}/fd`)).toEqual(['0', '1', '2', '3']);
  for (const fd of [0, 1, 2]) expect(readlinkSync(`/proc/${peer.pid}/fd/${fd}`)).toBe('/dev/null');
  expect(readlinkSync(`/proc/${peer.pid}/fd/3`)).not.toBe(readlinkSync(`/proc/${by.pid}/fd/3`));
  expect(readFileSync(`/proc/${peer.pid}/environ`, 'utf8')).toBe('');
  expect(readlinkSync(`/proc/${peer.pid}/exe`)).toContain('memfd:runts-init');
});

test('a copy is what an init is that was made without a zygote', async () => {
  const by = await patientZygote();
  const copy = await copied(by);
  const direct = sessions.hold(await host.processes.spawn({ flags: 0, errand: waits }));
  for (const session of [copy, direct]) expect(await frameOf(session)).toEqual({ kind: 'sync', tag: 7 });
  const names = ['Name', 'Uid', 'Gid', 'Groups', 'CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb', 'NoNewPrivs'];
  names.push('Seccomp', 'SigBlk', 'SigIgn', 'SigCgt', 'ShdPnd', 'Umask', 'Cpus_allowed', 'Threads');
  const seen = ({ pid }: Session) => [
    ...names.map((name) => [name, status(pid, name)]),
    ...['limits', 'oom_score_adj', 'cgroup', 'coredump_filter'].map((file) =>
      readFileSync(`/proc/${pid}/${file}`, 'utf8'),
    ),
    ...['user', 'mnt', 'pid', 'ipc', 'uts', 'cgroup', 'net'].map((type) => readlinkSync(`/proc/${pid}/ns/${type}`)),
  ];
  expect(seen(copy)).toEqual(seen(direct));
});

test('a zygote that is asked for namespaces says no over the channel of the copy, and goes on', async () => {
  const by = await patientZygote();
  expect(await frameOf(await copied(by))).toEqual({ kind: 'sync', tag: 7 }); // it listens
  for (const flags of [0x10000000, 0x100]) {
    const { ours, theirs } = orThrow(native.socketPair(true));
    await by.send(cloneMessage(flags), [theirs]);
    theirs.close();
    const { pid, process } = by;
    const answer = sessionOver(ours, { pid, process });
    expect(await frameOf(answer)).toMatchObject({ kind: 'error', step: 'clone', errno: 22 });
    expect(await frameOf(answer)).toBeUndefined();
    answer.close();
  }
  expect(await frameOf(await copied(by))).toEqual({ kind: 'sync', tag: 7 });
});

/** What is said on one channel more. */
const sessionOver = (
  channel: ConstructorParameters<typeof NodeSession>[0]['channel'],
  of: Pick<Session, 'pid' | 'process'>,
) => new NodeSession({ ...of, channel, ours: false });

const ebadmsg = 74;

test.each([
  ['a word of another kind', goMessage(0)],
  ['half a word', new Uint8Array(5)],
  ['a request without a channel', cloneMessage(0)],
])('a zygote that is sent %s ends', async (_what, message) => {
  const by = await patientZygote();
  expect(await frameOf(await copied(by))).toEqual({ kind: 'sync', tag: 7 }); // it listens
  await by.send(message);
  expect(await frameOf(by)).toMatchObject({ kind: 'error', op: 'fork_inits', step: 'recvmsg', errno: ebadmsg });
  expect(await frameOf(by)).toBeUndefined();
  await expect(host.processes.forkBy(by, { errand: waits })).rejects.toMatchObject({ code: 'EPIPE' });
});

test('a zygote ends with its owner’s end of the channel, and with it no copy', async () => {
  const by = await patientZygote();
  const copy = await copied(by);
  by.close();
  expect(await by.exit).toEqual({ code: 0, signal: undefined });
  expect(await frameOf(copy)).toEqual({ kind: 'sync', tag: 7 });
  await copy.send(goMessage(7));
  expect(await frameOf(copy)).toEqual({ kind: 'done', tag: 0 });
});

test('a copy ends with its own channel, and with it no zygote', async () => {
  const by = await patientZygote();
  const copy = await copied(by);
  expect(await frameOf(copy)).toEqual({ kind: 'sync', tag: 7 });
  copy.close();
  await copy.exit;
  expect(await frameOf(await copied(by))).toEqual({ kind: 'sync', tag: 7 });
});

test('a zygote that is asked for nothing ends after a while, and says no to nobody before', async () => {
  const by = await zygote(idleAfter(100));
  expect(await frameOf(by)).toEqual({ kind: 'done', tag: 0 });
  expect(await by.exit).toEqual({ code: 0, signal: undefined });
  await expect(host.processes.forkBy(by, { errand: waits })).rejects.toMatchObject({ code: 'EPIPE' });
});

test('whoever asks a zygote just when it ends gets a copy, or hears that there is none', async () => {
  const directoryOf = directory();
  for (let round = 0; round < 20; round++) {
    const by = await zygote(idleAfter(10));
    for (const until = performance.now() + 8 + round * 0.2; performance.now() < until; );
    const path = `${directoryOf}/${round}`;
    const made = await copied(by, touching(path)).catch((error: unknown) => error);
    if (made instanceof Error) {
      expect(made).toMatchObject({ code: 'EPIPE' });
      await by.exit;
      expect(readdirSync(directoryOf)).not.toContain(String(round));
    } else await expect.poll(() => readdirSync(directoryOf)).toContain(String(round));
    await sessions.endAll();
  }
});

test('a zygote that does not answer is killed, and what it was asked for is never done', {
  timeout: 4 * patienceMs,
}, async () => {
  const by = await patientZygote();
  expect(await frameOf(await copied(by))).toEqual({ kind: 'sync', tag: 7 });
  const before = descendants().filter((pid) => pid !== by.pid);
  const path = directory();
  process.kill(by.pid, 'SIGSTOP');
  const asked = Array.from({ length: 3 }, (_, i) => host.processes.forkBy(by, { errand: touching(`${path}/${i}`) }));
  for (const result of await Promise.allSettled(asked)) {
    expect(result).toMatchObject({
      status: 'rejected',
      reason: { code: expect.stringMatching(/^(EPIPE|ETIMEDOUT)$/) },
    });
  }
  expect(await by.exit).toEqual({ code: undefined, signal: 9 });
  await expect.poll(() => descendants(), { timeout: patienceMs }).toEqual(before);
  expect(readdirSync(path)).toEqual([]);
});

test('whenever a zygote is killed, each copy is known or was not made', async () => {
  const before = descendants();
  let made = 0;
  let lost = 0;
  for (let round = 0; round < 40; round++) {
    const by = await patientZygote();
    // It listens.
    if (round % 2 === 0) await copied(by, errandOf(halt));
    const all = Array.from({ length: 6 }, () => host.processes.forkBy(by, { errand: waits }));
    // At another moment each time: between a clone and its word, too; and now and then when there is one for certain.
    if (round % 10 === 9) await all[0];
    else for (const until = performance.now() + round * 0.05; performance.now() < until; );
    host.processes.signal(by.process, 9);
    for (const result of await Promise.allSettled(all)) {
      if (result.status === 'fulfilled') {
        made++;
        sessions.hold(result.value);
      } else {
        lost++;
        expect(result.reason).toMatchObject({ code: 'EPIPE' });
      }
    }
    await sessions.endAll();
  }
  expect([made > 0, lost > 0]).toEqual([true, true]);
  await expect.poll(() => descendants(), { timeout: patienceMs }).toEqual(before);
});

testIf('cgroup2')('a copy that is killed as soon as it is born, by its cgroup, is known', async () => {
  const path = `${cgroup2Root}/runts-test-${process.pid}-copies`;
  mkdirSync(path);
  onTestFinished(() => rmdirSync(path));
  const cgroup = await host.cgroups.open(path, 'directory');
  onTestFinished(() => cgroup.close());
  const by = await patientZygote();
  const first = await copied(by, waits, { cgroup });
  expect(await frameOf(first)).toEqual({ kind: 'sync', tag: 7 });
  expect(readFileSync(`/proc/${first.pid}/cgroup`, 'utf8')).toContain(`0::${path.slice(cgroup2Root!.length)}\n`);
  await end(await host.processes.forkBy(by, { errand: waits }));
  const before = descendants().filter((pid) => pid !== first.pid);
  for (let round = 0; round < 20; round++) {
    // Killed while it begins, or in a cgroup that was: from Linux 6.15 on that is no place to be born.
    const asked = host.processes.forkBy(by, { errand: waits, cgroup });
    writeFileSync(`${path}/cgroup.kill`, '1');
    const copy = await asked;
    writeFileSync(`${path}/cgroup.kill`, '1');
    expect(await copy.exit).toEqual({ code: undefined, signal: 9 });
    await end(copy);
  }
  await expect.poll(() => descendants(), { timeout: patienceMs }).toEqual(before);
});

test('each of many copies at once does what it was given, and nothing of them is left', async () => {
  const by = await patientZygote();
  await end(await host.processes.forkBy(by, { errand: waits }));
  const before = look();
  const path = directory();
  for (let round = 0; round < 5; round++) {
    const all = await Promise.all(
      Array.from({ length: 16 }, (_, i) => host.processes.forkBy(by, { errand: touching(`${path}/${round}-${i}`) })),
    );
    expect(new Set(all.map(({ pid }) => pid)).size).toBe(16);
    for (const session of all) {
      expect(await session.exit).toEqual({ code: 0, signal: undefined });
      session.close();
      session.process.close();
    }
  }
  expect(readdirSync(path)).toHaveLength(80);
  await expectUnchanged(before);
});

/** One whose channel another process can be given: it is started as a program, and not by the addon. */
async function zygoteOfFile() {
  const { ours, theirs } = orThrow(native.socketPair(true));
  const file = fileURLToPath(new URL('../../build/Release/runts-init', import.meta.url));
  const child = spawn(file, { stdio: ['ignore', 'ignore', 'ignore', theirs.fd] });
  theirs.close();
  onTestFinished(() => void child.kill('SIGKILL'));
  const ended = once(child, 'exit');
  const kept = orThrow(native.duplicate(ours.fd));
  onTestFinished(() => kept.close());
  const session = sessionOver(ours, { pid: child.pid!, process: orThrow(native.openProcess(child.pid!)) });
  onTestFinished(() => session.close());
  await runIn(session, idleAfter(3_600_000));
  expect(await frameOf(session)).toEqual({ kind: 'sync', tag: zygoteTag });
  await session.send(goMessage(zygoteTag));
  expect(await frameOf(await copied(session))).toEqual({ kind: 'sync', tag: 7 });
  return { session, channel: kept.fd, ended };
}

const saysClone = "printf '\\003\\000\\000\\000\\000\\000\\000\\000' >&3";

testIf('root').each([
  ['of the same user is heard', 0, ebadmsg], // and there is no channel with what it says
  ['of another one is not', 65_534, 1],
])('whoever has got hold of the channel of a zygote and is %s', async (_who, uid, errno) => {
  const { session, channel, ended } = await zygoteOfFile();
  const said = spawnSync('sh', ['-c', saysClone], { uid, stdio: ['ignore', 'ignore', 'pipe', channel] });
  expect([said.status, String(said.stderr)]).toEqual([0, '']);
  expect(await frameOf(session)).toMatchObject({ kind: 'error', op: 'fork_inits', step: 'recvmsg', errno });
  expect(await frameOf(session)).toBeUndefined();
  expect(await ended).toEqual([125, null]);
});
