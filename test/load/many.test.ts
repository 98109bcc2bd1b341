import { afterAll, expect } from 'vitest';
import { Fixture } from '../lifetime/fixture.ts';
import { testIf } from '../support/requires.ts';
import { busyboxRoot, temporaryDirectory } from '../support/rootfs.ts';

// One process with a thousand containers behind it has of everything as much as before; it ends by itself.

const root = busyboxRoot();
const directory = temporaryDirectory();
afterAll(() => {
  root.remove();
  directory.remove();
});

interface Counts {
  readonly descriptors: number;
  readonly children: number;
  readonly mounts: number;
  readonly files: readonly string[];
  readonly threads: number;
  readonly handles: readonly string[];
}

interface Report {
  readonly before: Counts;
  readonly after: Counts;
  readonly outcomes: Readonly<Record<string, number>>;
  readonly most: { readonly children: number; readonly descriptors: number };
  readonly descriptorsMost: number;
  /** In MiB: before, after the thousand, after those that were alive together. */
  readonly rss: readonly [number, number, number];
}

const total = 1000;
const alive = 200;

testIf('userns', 'busybox')(
  'a thousand containers, 32 at a time, and 200 that live together leave the process as it was',
  async () => {
    const node = new Fixture(
      '../../load/fixtures/many',
      [root.path, directory.path, `${total}`, `${alive}`],
      ['--expose-gc'],
    );
    const report = await node.says<Report>();
    // Nothing is awaited in there any more: what keeps it alive now would keep a program of a user alive.
    expect(await node.ends()).toEqual({ code: 0, signal: null });
    process.stderr.write(`load: ${JSON.stringify(report)}\n`);
    const { before, after, outcomes, most, descriptorsMost, rss } = report;
    expect(after).toEqual(before);
    // Beside them one keeper has what the kernel does not remove for us; more are there while others are made.
    expect(most.children).toBeGreaterThanOrEqual(alive);
    expect(most.children).toBeLessThanOrEqual(2 * alive);
    // In flight, a container has a dozen descriptors or less, and living together eight.
    expect(descriptorsMost).toBeLessThan(before.descriptors + 32 * 24);
    expect(most.descriptors).toBeLessThan(before.descriptors + alive * 10);
    expect(Object.values(outcomes).reduce((sum, n) => sum + n)).toBe(total);
    expect(outcomes).toEqual({
      'refused: ERR_SPEC': 100,
      'missing: ERR_EXEC': 100,
      'false: ERR_EXIT': 100,
      'canceled: ERR_CANCELED': 100,
      removed: 100,
      ran: 500,
    });
    // A leak of 64 KiB for each container would pass it; the garbage of a thousand does not.
    expect(rss[2] - rss[0]).toBeLessThan(64);
  },
  300_000,
);
