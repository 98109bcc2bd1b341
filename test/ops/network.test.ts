import { spawn, spawnSync } from 'node:child_process';
import { readlinkSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, onTestFinished } from 'vitest';
import type { Handle } from '../../lib/host/host.ts';
import type { Op } from '../../lib/program/ops.ts';
import { fail, host, op, succeed } from '../support/ops.ts';
import { testIf } from '../support/requires.ts';

/** Two network namespaces of our own: the machine's is left alone. */
const test = testIf('root', 'netdevices');

interface Namespace {
  readonly handle: Handle;
  readonly ip: (...args: string[]) => string;
}

async function namespace(): Promise<Namespace> {
  const before = readlinkSync('/proc/self/ns/net');
  const child = spawn('unshare', ['-n', 'sleep', '60'], { stdio: 'ignore' });
  onTestFinished(() => void child.kill('SIGKILL'));
  const path = `/proc/${child.pid}/ns/net`;
  for (let tries = 0; tries < 500 && readlinkSync(path) === before; tries++) await sleep(10);
  expect(readlinkSync(path)).not.toBe(before);
  const handle = await host.files.open(path, 'read');
  onTestFinished(() => handle.close());
  const ip = (...args: string[]) => {
    const { status, stdout, stderr } = spawnSync('nsenter', [`--net=${path}`, 'ip', ...args], { encoding: 'utf8' });
    if (status !== 0) throw new Error(`ip ${args.join(' ')}: ${stderr}`);
    return stdout;
  };
  return { handle, ip };
}

async function pair() {
  const [ours, theirs] = [await namespace(), await namespace()];
  const start = op('join', { namespaces: ['ours'], user: undefined });
  const inputs = { ours: ours.handle, theirs: theirs.handle };
  const move = (name: string, rename: string): Op => op('net_device', { name, netns: 'theirs', rename });
  return {
    ours,
    theirs,
    move,
    succeed: (...ops: Op[]) => succeed([start, ...ops], { inputs }),
    fail: (...ops: Op[]) => fail([start, ...ops], { inputs }),
  };
}
/** A device, which is one end of a pair. */
const add = ({ ip }: Namespace, name: string) =>
  ip('link', 'add', 'name', name, 'type', 'veth', 'peer', 'name', `${name}p`);
const names = ({ ip }: Namespace) => [...ip('-o', 'link').matchAll(/^\d+: ([^:@]+)/gm)].map(([, name]) => name);
const addresses = ({ ip }: Namespace, dev: string) =>
  [...ip('-o', 'addr', 'show', 'dev', dev, 'scope', 'global').matchAll(/inet6? (\S+)(?: brd (\S+))?/g)].map(
    ([, address, broadcast]) => (broadcast ? `${address} ${broadcast}` : address),
  );

describe('net_device', () => {
  test('moves a device under a new name, with its addresses, and brings it up', async () => {
    const { ours, theirs, move, succeed } = await pair();
    add(ours, 'd0');
    ours.ip('addr', 'add', '10.1.2.3/24', 'broadcast', '10.1.2.255', 'dev', 'd0');
    ours.ip('addr', 'add', '10.9.9.9', 'peer', '10.9.9.10/32', 'dev', 'd0');
    ours.ip('addr', 'add', '2001:db8::1/64', 'dev', 'd0', 'nodad');
    ours.ip('link', 'set', 'd0', 'up');
    const before = addresses(ours, 'd0');
    await succeed(move('d0', 'eth0'));
    expect(names(ours)).not.toContain('d0');
    expect(names(theirs)).toContain('eth0');
    expect(addresses(theirs, 'eth0').sort()).toEqual(before.sort());
    expect(before.length).toBe(3);
    expect(theirs.ip('link', 'show', 'dev', 'eth0')).toMatch(/<.*\bUP\b.*>/);
  });

  test('leaves behind what is temporary, or of the link only, and the addresses of others', async () => {
    const { ours, theirs, move, succeed } = await pair();
    add(ours, 'd0');
    add(ours, 'd1');
    ours.ip('addr', 'add', '10.1.1.1/24', 'dev', 'd0');
    ours.ip('addr', 'add', '10.1.2.2/24', 'dev', 'd0', 'scope', 'link');
    ours.ip('addr', 'add', '10.1.1.3/24', 'dev', 'd0', 'valid_lft', '1000', 'preferred_lft', '1000');
    ours.ip('addr', 'add', '10.1.1.4/24', 'dev', 'd1');
    await succeed(move('d0', 'd0'));
    expect(addresses(theirs, 'd0')).toEqual(['10.1.1.1/24']);
    expect(names(ours)).toContain('d1');
  });

  test('many addresses, and one device after another', async () => {
    const { ours, theirs, move, succeed } = await pair();
    for (const name of ['a', 'b']) add(ours, name);
    for (let i = 1; i <= 40; i++) ours.ip('addr', 'add', `10.0.${i}.1/24`, 'dev', 'a');
    await succeed(move('a', 'a'), move('b', 'c'));
    expect(addresses(theirs, 'a').length).toBe(40);
    expect(names(theirs)).toEqual(expect.arrayContaining(['a', 'c']));
  });

  test('one end of a pair: the other still reaches it', async () => {
    const { ours, theirs, move, succeed } = await pair();
    ours.ip('link', 'add', 'v0', 'type', 'veth', 'peer', 'name', 'v1');
    ours.ip('link', 'set', 'v1', 'up');
    await succeed(move('v0', 'v0'));
    expect(theirs.ip('link', 'show', 'dev', 'v0')).toMatch(/<.*\bLOWER_UP\b.*>/);
    expect(names(ours)).toContain('v1');
  });

  test('a name that is taken there is refused before anything has moved', async () => {
    const { ours, theirs, move, fail } = await pair();
    for (const each of [ours, theirs]) add(each, 'd0');
    expect(await fail(move('d0', 'd0'))).toBe('net_device netlink EEXIST d0');
    expect(await fail(move('d0', 'lo'))).toBe('net_device netlink EEXIST lo');
    expect(names(ours)).toContain('d0');
  });

  test('what cannot be moved is said', async () => {
    const { ours, move, fail } = await pair();
    expect(await fail(move('nosuch0', 'x'))).toBe('net_device ioctl ENODEV nosuch0');
    expect(await fail(move('n'.repeat(16), 'x'))).toMatch(/^net_device ioctl ENAMETOOLONG n+$/);
    expect(await fail(move('lo', 'x'))).toBe('net_device netlink EINVAL x');
    add(ours, 'd0');
    expect(await fail(move('d0', 'x'.repeat(16)))).toMatch(/^net_device ioctl ENAMETOOLONG x+$/);
    // By the kernel's rules, before it could find out after the move.
    for (const name of ['a/b', 'a:b', 'a b', 'eth%d', '.', '..', '']) {
      expect(await fail(move('d0', name))).toBe(`net_device netlink EINVAL ${name}`.trimEnd());
    }
    const no = op('capabilities', { effective: 0, permitted: 0, inheritable: 0, ambient: 0 });
    expect(await fail(no, move('d0', 'x'))).toMatch(/^net_device (ioctl|setns) EPERM/);
    expect(names(ours)).toContain('d0');
  });
});
