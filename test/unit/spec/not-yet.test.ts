import { expect, test } from 'vitest';
import { refuseNotYet } from '../../../lib/spec/not-yet.ts';
import type { ContainerOptions } from '../../../lib/spec/options.ts';

test.each([
  ['/ports', { host: true, ports: [80] }],
  ['/network', { host: true, network: 'private' }],
  ['/network', { host: true, network: { name: 'mine' } }],
  ['/storage', { rootfs: '/srv/root', storage: { size: '1g' } }],
] as const)('%s is refused while nothing serves it', (origin, options) => {
  expect(() => refuseNotYet(options as unknown as ContainerOptions)).toThrow(
    expect.objectContaining({ code: 'ERR_UNSUPPORTED', origin, hint: expect.any(String) }),
  );
});

test('what is served passes', () => {
  refuseNotYet({ host: true, network: 'none', mounts: [{ type: 'tmpfs', target: '/x' }], ports: [] });
  refuseNotYet({ image: 'debian:12', pull: 'always', storage: { size: '1g' } });
});
