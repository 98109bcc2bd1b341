import { readFileSync } from 'node:fs';
import { beforeAll, expect, test } from 'vitest';
import { createHost } from '../../lib/node/host.ts';
import type { Maps } from '../../lib/plan/plan.ts';
import { encode } from '../../lib/program/encode.ts';
import { decodeFrame, goMessage, segmentMessages } from '../../lib/program/frames.ts';
import { namespaceFlags } from '../../lib/spec/names.ts';
import { expectUnchanged, look } from '../support/look.ts';
import { halt, op } from './programs.ts';

const host = createHost();
const [uid, gid] = [process.getuid!(), process.getgid!()];
const flags = namespaceFlags.user;
const errand = { messages: segmentMessages(encode({ inputs: [], ops: [op('sync', { tag: 7 }), halt] })), handles: [] };
const one = (id: number) => [{ container: 0, host: id, size: 1 }];
const maps = { by: 'write', setgroups: 'deny', uids: one(uid), gids: one(gid), origin: '/' } as const satisfies Maps;

// The first one makes the image that all are executed from.
beforeAll(async () => {
  const session = await host.processes.spawn({
    flags: 0,
    errand: { ...errand, messages: [...errand.messages, goMessage(7)] },
  });
  await session.exit;
  session.close();
  session.process.close();
});

test('an init whose id maps are ours to write has them, and begins, before it is told of', async () => {
  const before = look();
  const session = await host.processes.spawn({ flags, maps, errand });
  expect(session).toMatchObject({ mapped: true, errand: true });
  const file = (name: string) => readFileSync(`/proc/${session.pid}/${name}`, 'utf8').trim().split(/\s+/);
  expect([file('uid_map'), file('gid_map'), file('setgroups')]).toEqual([
    ['0', String(uid), '1'],
    ['0', String(gid), '1'],
    ['deny'],
  ]);
  expect(decodeFrame((await session.receive())!.bytes)).toEqual({ kind: 'sync', tag: 7 });
  await session.send(goMessage(7));
  expect(await session.exit).toEqual({ code: 0, signal: undefined });
  session.close();
  session.process.close();
  await expectUnchanged(before);
});

test('one whose id maps the kernel refuses is not let begin, and it is known which, and why', async () => {
  const before = look();
  // Of ids that overlap nobody can make a map.
  const refused = { ...maps, gids: [...one(gid), ...one(gid)] };
  const session = await host.processes.spawn({ flags, maps: refused, errand, stayMs: 60_000 });
  expect(session).toMatchObject({ mapped: false, errand: false });
  expect(session.unmapped).toMatchObject({ file: 'gid_map', error: { code: 'EINVAL', syscall: 'write' } });
  expect(session.over).toBeUndefined();
  host.processes.signal(session.process, 9);
  expect(await session.exit).toEqual({ code: undefined, signal: 9 });
  session.close();
  session.process.close();
  await expectUnchanged(before);
});
