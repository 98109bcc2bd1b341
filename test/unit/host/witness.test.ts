import { expect, test } from 'vitest';
import type { Host } from '../../../lib/host/host.ts';
import { Witness } from '../../../lib/host/witness.ts';
import { Sim } from '../../support/sim.ts';

const files = { '/b/config.json': '{}', '/r/etc/passwd': 'root', '/r/odd': 'caf\ufffd', '/long': 'x'.repeat(300_000) };

/** What is noted of some use of a host. */
async function noted(use: (host: Host) => unknown) {
  const sim = new Sim({ files });
  const witness = new Witness(sim.host);
  await sim.run((async () => use(witness.host))());
  return witness.looks;
}

test('what is read, and what is not there, is noted in its order', async () => {
  const looks = await noted(async (host) => {
    await host.files.read('/b/config.json', 'strict');
    await host.files.readBelow('/r', 'etc/passwd', 100);
    await host.files.readBelow('/r', 'etc/group', 100);
    await host.files.isStraight('/r');
  });
  expect(looks).toEqual([
    { at: 'file', path: '/b/config.json', text: '{}' },
    { at: 'below', root: '/r', path: 'etc/passwd', text: 'root' },
    { at: 'below', root: '/r', path: 'etc/group', text: undefined },
    { at: 'straight', path: '/r' },
  ]);
});

test('after anything else that is looked at, or done, there is nothing that could be looked at again', async () => {
  const uses: ((host: Host) => unknown)[] = [
    (host) => host.files.kind('/r'),
    (host) => host.files.readLink('/r'),
    (host) => host.files.list('/r'),
    (host) => host.cgroups,
    (host) => host.processes,
    (host) => host.sockets,
    (host) => host.kernel,
    // Of bytes that are no text it is not known what they were.
    (host) => host.files.read('/r/odd'),
  ];
  for (const use of uses) {
    const looks = await noted(async (host) => {
      await host.files.read('/b/config.json', 'strict');
      await use(host);
    });
    expect(looks, use.toString()).toBeUndefined();
  }
});

test('clock, chance and environment are those of the host, and nobody is told', async () => {
  const looks = await noted((host) => {
    expect(host.random(4)).toHaveLength(4);
    expect(host.clock.now()).toBeGreaterThan(0);
    expect(host.environment.cwd).toBe('/');
  });
  expect(looks).toEqual([]);
});

test('more, or longer, than is worth to be compared each time is not kept', async () => {
  expect(await noted((host) => host.files.read('/long'))).toBeUndefined();
  const many = async (host: Host) => {
    for (let i = 0; i < 17; i++) await host.files.readBelow('/r', `no-${i}`, 1);
  };
  expect(await noted(many)).toBeUndefined();
});
