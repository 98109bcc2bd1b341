import { readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { Errand, Session } from '../../lib/host/host.ts';
import { goMessage } from '../../lib/program/frames.ts';
import { descendants, expectUnchanged, look } from '../support/look.ts';
import { directory, host, op } from '../support/ops.ts';
import { patienceMs, testIf } from '../support/requires.ts';
import { patientZygote, status, touching, waits } from './copying.ts';

describe('a copy that waits', () => {
  const waiting = (by: Session, errand: Errand = waits) =>
    host.processes.forkAhead(by, { errand, stayMs: patienceMs, children: 0 });
  const go = goMessage(7);
  const done = {
    exit: { code: 0 },
    frames: [
      { kind: 'sync', tag: 7 },
      { kind: 'done', tag: 0 },
    ],
  };
  const release = (session: Session): void => {
    session.close();
    session.process.close();
  };

  test('is told of when it is let go, and does then what it was given', async () => {
    const by = await patientZygote();
    const path = directory();
    release(await waiting(by).letGo(go));
    const before = look();
    const ops = touching(`${path}/made`, op('sync', { tag: 7 }));
    const copy = waiting(by, ops);
    await sleep(50);
    expect(readdirSync(path)).toEqual([]);
    const session = await copy.letGo(go);
    expect(session.over).toMatchObject({ exit: { code: 0 }, frames: [{ kind: 'sync', tag: 7 }] });
    expect(readdirSync(path)).toEqual(['made']);
    release(session);
    await expectUnchanged(before);
  });

  test('can be let go before it has begun, and when its zygote has ended', async () => {
    const by = await patientZygote();
    const [first, second] = [waiting(by), waiting(by)];
    const session = await first.letGo(go);
    expect(session.over).toMatchObject(done);
    await expect.poll(() => copiesOf(by), { timeout: patienceMs }).toHaveLength(1);
    process.kill(by.pid, 'SIGKILL');
    await by.exit;
    const later = await second.letGo(go);
    expect(later.over).toMatchObject(done);
    for (const each of [session, later]) release(each);
  });

  test('is let go once, and ends when it is closed', async () => {
    const by = await patientZygote();
    const before = look();
    const copy = waiting(by);
    await expect.poll(() => copiesOf(by), { timeout: patienceMs }).toHaveLength(1);
    await copy.close();
    expect(copiesOf(by)).toEqual([]);
    await copy.close();
    await expect(copy.letGo(go)).rejects.toMatchObject({ code: 'EPIPE' });
    await expectUnchanged(before);
  });

  test('ends when nobody can let it go any more', async () => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const by = await patientZygote();
    const before = look();
    for (let i = 0; i < 10; i++) waiting(by);
    await expect.poll(() => copiesOf(by), { timeout: patienceMs }).toHaveLength(10);
    for (const until = Date.now() + patienceMs; copiesOf(by).length > 0 && Date.now() < until; await sleep(10))
      collect();
    await expectUnchanged(before);
  });

  test('that was killed has done nothing, and who would let it go hears that', async () => {
    const by = await patientZygote();
    const before = look();
    const copy = waiting(by);
    await expect.poll(() => copiesOf(by), { timeout: patienceMs }).toHaveLength(1);
    const [pid] = copiesOf(by);
    process.kill(pid!, 'SIGKILL');
    await expect.poll(() => status(pid!, 'State'), { timeout: patienceMs }).toMatch(/^Z/);
    await expect(copy.letGo(go)).rejects.toMatchObject({ code: 'EPIPE' });
    await expectUnchanged(before);
  });

  testIf('root').each([
    ['user', () => process.seteuid!(1), () => process.seteuid!(0)],
    ['group', () => process.setegid!(1), () => process.setegid!(0)],
  ])(
    'that was made by another effective %s than ours is now ends, and so does who is to make one',
    async (_who, change, restore) => {
      const by = await patientZygote();
      const copy = waiting(by);
      await expect.poll(() => copiesOf(by), { timeout: patienceMs }).toHaveLength(1);
      onTestFinished(restore);
      change();
      const ends = await Promise.allSettled([copy.letGo(go), waiting(by).letGo(go)]);
      restore();
      expect(ends).toMatchObject([{ reason: { code: 'EPIPE' } }, { reason: { code: 'EPIPE' } }]);
      expect(copiesOf(by)).toEqual([]);
      await by.exit;
    },
  );

  test('of a zygote that was killed before it made one is none, and who would let it go hears that', async () => {
    const by = await patientZygote();
    process.kill(by.pid, 'SIGSTOP');
    const copies = [waiting(by), waiting(by)];
    process.kill(by.pid, 'SIGKILL');
    await expect(copies[0]!.letGo(go)).rejects.toMatchObject({ code: 'EPIPE' });
    await copies[1]!.close();
    await by.exit;
    expect(() => waiting(by)).toThrow('EPIPE');
  });
});

/** Our other children. */
const copiesOf = (by: Session) => descendants().filter((pid) => pid !== by.pid && status(pid, 'Name') === 'runts-init');
