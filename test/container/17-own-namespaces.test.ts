import { symlinkSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { type BundleSpec, type Bundles, bundles, withoutUser } from '../mounts/bundles.ts';
import { testIf } from '../support/requires.ts';

const test = testIf('userns', 'busybox');
const testRoot = testIf('root', 'busybox');

let at: Bundles;
beforeAll(() => {
  at = bundles();
});
afterAll(() => at.remove());

const joining = (spec: BundleSpec, type: string, path: string) => {
  for (const namespace of spec.linux.namespaces) if (namespace.type === type) namespace.path = path;
};

describe('a namespace that is joined by its path, and is the one that we are in', () => {
  test('has no kernel parameter changed', async () => {
    const made = at.shell('true', (spec) => {
      joining(spec, 'network', `/proc/${process.pid}/ns/net`);
      spec.linux.sysctl = { 'net.ipv4.ip_default_ttl': '64' };
    });
    await expect(made).rejects.toMatchObject({
      code: 'ERR_SPEC',
      message: expect.stringContaining('belongs to the network namespace, which this container shares'),
    });
  });

  test('has no name changed, also when a link leads there', async () => {
    const link = join(at.directory(), 'uts');
    symlinkSync('/proc/self/ns/uts', link);
    const made = at.shell('true', (spec) => {
      joining(spec, 'uts', link);
      spec.hostname = hostname();
    });
    await expect(made).rejects.toMatchObject({ code: 'ERR_SPEC', origin: '/hostname' });
  });

  testRoot('is shared like one that is not in the list', async () => {
    const out = await at.shell('hostname', (spec) => {
      withoutUser(spec);
      joining(spec, 'uts', `/proc/${process.pid}/ns/uts`);
      spec.hostname = '';
    });
    expect(out).toBe(`${hostname()}\n`);
  });
});
