import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { expect, test } from 'vitest';
import type { Session } from '../../lib/host/host.ts';
import { writeMaps } from '../../lib/host/maps.ts';
import type { Maps } from '../../lib/plan/plan.ts';
import { zygoteProgram, zygoteTag } from '../../lib/plan/zygote.ts';
import { goMessage } from '../../lib/program/frames.ts';
import { descendants } from '../support/look.ts';
import { halt, host, isolated, op } from '../support/ops.ts';
import { patienceMs } from '../support/requires.ts';
import { end, frameOf, heldSessions, runIn } from '../support/sessions.ts';

const own = (id: number) => [{ container: 0, host: id, size: 1 }];
/** What everybody may map. */
const maps: Maps = {
  uids: own(process.getuid!()),
  gids: own(process.getgid!()),
  setgroups: 'deny',
  by: 'write',
  origin: 'test',
};

const sessions = heldSessions();

async function zygote(): Promise<Session> {
  const session = sessions.hold(await host.processes.spawn({ flags: isolated.user }));
  await writeMaps(host, session.pid, maps);
  await runIn(session, zygoteProgram(maps));
  expect(await frameOf(session)).toEqual({ kind: 'sync', tag: zygoteTag });
  await session.send(goMessage(zygoteTag));
  return session;
}

async function cloned(by: Session, flags: number = isolated.user): Promise<Session> {
  return sessions.hold(await host.processes.spawnBy(by, { flags }));
}

const status = (pid: number, name: string) =>
  new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
const users = (pid: number) => readlinkSync(`/proc/${pid}/ns/user`);

test('a zygote clones an init that is a child of ours, with the id maps of the zygote written', async () => {
  const by = await zygote();
  const init = await cloned(by, isolated.user | isolated.pid | isolated.mount);
  expect(init.mapped).toBe(true);
  expect(status(init.pid, 'PPid')).toBe(String(process.pid));
  for (const map of ['uid_map', 'gid_map'])
    expect(readFileSync(`/proc/${init.pid}/${map}`, 'utf8')).toBe(readFileSync(`/proc/${by.pid}/${map}`, 'utf8'));
  await runIn(init, { inputs: [], ops: [op('become_root', {}), halt] });
  expect(await frameOf(init)).toEqual({ kind: 'done', tag: 0 });
  expect(await init.exit).toEqual({ code: 0, signal: undefined });
});

test('each init of a zygote has a user namespace of its own', async () => {
  const by = await zygote();
  const [one, other] = await Promise.all([cloned(by), cloned(by)]);
  expect(new Set([by.pid, one.pid, other.pid].map(users)).size).toBe(3);
});

test('an init gets nothing of its zygote but the null device and its channel, and no environment', async () => {
  const by = await zygote();
  await cloned(by);
  const peer = await cloned(by);
  await expect.poll(() => status(peer.pid, 'Name')).toBe('runts-init');
  await expect.poll(() => readdirSync(`/proc/${peer.pid}/fd`), { timeout: 10_000 }).toEqual(['0', '1', '2', '3']);
  for (const fd of [0, 1, 2]) expect(readlinkSync(`/proc/${peer.pid}/fd/${fd}`)).toBe('/dev/null');
  expect(readFileSync(`/proc/${peer.pid}/environ`, 'utf8')).toBe('');
  expect(readlinkSync(`/proc/${peer.pid}/exe`)).toContain('memfd:runts-init');
});

test('a zygote has no capability but those to write id maps', async () => {
  const by = await zygote();
  await cloned(by);
  expect(status(by.pid, 'CapPrm')).toBe('00000000800000c0');
  expect(status(by.pid, 'CapEff')).toBe('00000000800000c0');
  expect(status(by.pid, 'CapAmb')).toBe('0000000000000000');
});

test('what a zygote refuses is said, and it goes on', async () => {
  const by = await zygote();
  await expect(host.processes.spawnBy(by, { flags: 0 })).rejects.toMatchObject({ code: 'EINVAL' });
  await expect(host.processes.spawnBy(by, { flags: isolated.user | 0x100 })).rejects.toMatchObject({ code: 'EINVAL' });
  expect((await cloned(by)).mapped).toBe(true);
});

test.each([
  ['a word of another kind', goMessage(0)],
  ['half a word', new Uint8Array(5)],
  ['a request without a channel', Uint8Array.from([3, 0, 0, 0, 0, 0, 0, 0x10])],
])('a zygote that is sent %s ends', async (_what, message) => {
  const by = await zygote();
  await by.send(message);
  expect(await frameOf(by)).toMatchObject({ kind: 'error', op: 'clone_inits', step: 'recvmsg', errno: 74 });
  expect(await frameOf(by)).toBeUndefined();
  await expect(host.processes.spawnBy(by, { flags: isolated.user })).rejects.toMatchObject({ code: 'EPIPE' });
});

test('a zygote ends with its owner’s end of the channel, and with it no init', async () => {
  const by = await zygote();
  const init = await cloned(by);
  by.close();
  expect(await by.exit).toEqual({ code: 0, signal: undefined });
  await runIn(init, { inputs: [], ops: [op('become_root', {}), halt] });
  expect(await frameOf(init)).toEqual({ kind: 'done', tag: 0 });
});

test('root of an init has no right over its zygote, nor over another init of it', async () => {
  const by = await zygote();
  const [one, other] = [await cloned(by), await cloned(by)];
  for (const { pid } of [by, other]) {
    const path = `/proc/${pid}/root`;
    const attacker = await cloned(by);
    await runIn(attacker, { inputs: [], ops: [op('become_root', {}), op('open', { dst: 'root', path }), halt] });
    expect(await frameOf(attacker)).toMatchObject({ kind: 'error', op: 'open', errno: 13 });
  }
  // And over itself it has.
  await runIn(one, {
    inputs: [],
    ops: [op('become_root', {}), op('open', { dst: 'root', path: '/proc/self/root' }), halt],
  });
  expect(await frameOf(one)).toEqual({ kind: 'done', tag: 0 });
});

test('whenever a zygote is killed, each init that it has made is known or collected', async () => {
  const before = descendants();
  let made = 0;
  for (let round = 0; round < 40; round++) {
    const by = await zygote();
    const all = Array.from({ length: 6 }, () => host.processes.spawnBy(by, { flags: isolated.user }));
    // At another moment each time: between a clone and its answer, too; and now and then when there is one for certain.
    if (round % 10 === 9) await all[0];
    else for (const until = performance.now() + round * 0.05; performance.now() < until; );
    host.processes.signal(by.process, 9);
    for (const result of await Promise.allSettled(all)) {
      if (result.status === 'fulfilled') {
        made++;
        sessions.hold(result.value);
      } else expect(result.reason).toMatchObject({ code: 'EPIPE' });
    }
    await sessions.endAll();
  }
  expect(made).toBeGreaterThan(0);
  await expect.poll(() => descendants(), { timeout: patienceMs }).toEqual(before);
});

test('the id maps of every init are written, however many are executed meanwhile', async () => {
  const by = await zygote();
  for (let round = 0; round < 25; round++) {
    const all = await Promise.all(
      Array.from({ length: 16 }, () => host.processes.spawnBy(by, { flags: isolated.user })),
    );
    expect(all.filter(({ mapped }) => mapped !== true)).toEqual([]);
    await Promise.all(all.map(end));
  }
});
