import { expect, test } from 'vitest';
import { sysctlNamespace, sysctlPath } from '../../../lib/spec/sysctl.ts';

test.each([
  ['net.ipv4.ip_forward', 'net/ipv4/ip_forward', 'network'],
  ['net/ipv4/ip_forward', 'net/ipv4/ip_forward', 'network'],
  ['net.ipv4.conf.eth0/1.forwarding', 'net/ipv4/conf/eth0.1/forwarding', 'network'],
  ['net/ipv4/conf/eth0.1/forwarding', 'net/ipv4/conf/eth0.1/forwarding', 'network'],
  ['kernel.shmmax', 'kernel/shmmax', 'ipc'],
  ['kernel.shmmax2', 'kernel/shmmax2', undefined],
  ['netfilter.x', 'netfilter/x', undefined],
  ['kernel.core_pattern', 'kernel/core_pattern', undefined],
])('%s is the file %s', (name, path, owner) => {
  expect(sysctlPath(name)).toBe(path);
  expect(sysctlNamespace(path)).toBe(owner);
});

test.each([
  '',
  '.',
  'net..x',
  'net/../kernel/panic',
  '/net/x',
  'net.x.',
  'a b',
  'net.x\n',
  'net.x\0',
  'net.//.x',
  'net.x.//.y',
  'net/./x',
])('%j is no name', (name) => {
  expect(sysctlPath(name)).toBe(undefined);
});
