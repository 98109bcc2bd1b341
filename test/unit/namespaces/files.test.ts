import { expect, test } from 'vitest';
import { writeSysctls } from '../../../lib/namespaces/sysctl.ts';
import { addTimeNamespace } from '../../../lib/namespaces/time.ts';
import { setNames } from '../../../lib/namespaces/uts.ts';
import { Builder } from '../../../lib/program/builder.ts';
import { decodeUtf8 } from '../../../lib/program/utf8.ts';

const writes = (ops: Builder) =>
  ops.segment().ops.flatMap((op) => (op.op === 'write' ? [[op.operands.path, decodeUtf8(op.operands.content)]] : []));

test('a kernel parameter is one write to one file of our procfs', () => {
  const ops = new Builder();
  const sysctls = { 'net.ipv4.ip_forward': '1', 'net/ipv4/conf/eth0.1/forwarding': '1' };
  writeSysctls(ops, () => 'proc', sysctls, new Set(['network']));
  expect(writes(ops)).toEqual([
    ['sys/net/ipv4/ip_forward', '1'],
    ['sys/net/ipv4/conf/eth0.1/forwarding', '1'],
  ]);
  expect(ops.segment().ops[1]?.origin).toBe('/linux/sysctl/net~1ipv4~1conf~1eth0.1~1forwarding');
});

test.each(['kernel.core_pattern', 'net.ipv4.ip_forward', 'net/../kernel/core_pattern', 'kernel.hostname'])(
  'a parameter that is not the container’s own is refused: %s',
  (name) => {
    const set = () => writeSysctls(new Builder(), () => 'proc', { [name]: 'x' }, new Set(['ipc', 'uts']));
    expect(set).toThrow(expect.objectContaining({ code: 'ERR_SPEC' }));
  },
);

test('clocks are set between the unshare and whatever forks next', () => {
  const ops = new Builder();
  addTimeNamespace(ops, () => 'proc', { monotonic: { secs: -5 }, boottime: { secs: 7200, nanosecs: 1 } });
  expect(ops.segment().ops.map(({ op }) => op)).toEqual(['unshare', 'write', 'write']);
  expect(writes(ops).map(([, text]) => text)).toEqual(['boottime 7200 1\n', 'monotonic -5 0\n']);
});

test('names are set in a UTS namespace of our own, or not at all', () => {
  const ops = new Builder();
  setNames(ops, { hostname: 'a', domainname: 'b' }, new Set(['uts']));
  expect(ops.segment().ops.map(({ op }) => op)).toEqual(['hostname', 'domainname']);
  expect(() => setNames(new Builder(), { hostname: 'a' }, new Set())).toThrow('no UTS namespace of its own');
});
