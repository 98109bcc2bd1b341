import { type CreateOptions, createContainer } from '../../lib/host/create.ts';
import { type Running, start } from '../../lib/host/start.ts';
import type { Input, Plan } from '../../lib/plan/plan.ts';
import { tags } from '../../lib/plan/plan.ts';
import { Builder } from '../../lib/program/builder.ts';
import type { Sim } from '../support/sim.ts';
import { cgroupRoot } from '../support/sim-files.ts';

const newUser = 0x10000000;
const newMount = 0x20000;
const newPid = 0x20000000;

/** A plan that goes through every part of the conductor: cgroup, helpers for maps and mounts, inputs, a console. */
export function fullPlan({ reaps = true, path = 'runts/c1' }: { reaps?: boolean; path?: string } = {}): Plan {
  const inputs: Input[] = [
    ...([0, 1, 2] as const).map(
      (stream): Input => ({ kind: 'stdio', register: `std${stream}`, stream, origin: 'stdio' }),
    ),
    { kind: 'mount', register: 'data', source: '/data', recursive: true, idmap: true, origin: '/mounts/1' },
    { kind: 'mount', register: 'more', source: '/more', recursive: false, idmap: false, origin: '/mounts/2' },
    { kind: 'namespace', register: 'net', type: 'network', path: '/proc/self/ns/net', origin: '/linux/namespaces/2' },
  ];
  const b = new Builder();
  for (const input of inputs) b.input(input.register);
  b.op('become_root', {}, 'root');
  b.op('join', { namespaces: ['net'], user: undefined }, '/linux/namespaces/2');
  b.op('propagation', { flags: 0x40000 }, 'propagation');
  b.op('clone_mount', { dst: 'root', path: '/image', recursive: 1 }, '/root/path');
  b.op('attach_host', { src: 'root', path: '/image' }, '/root/path');
  b.op('fsmount', { dst: 'tmp', fstype: 'tmpfs', options: ['size=banana'], attributes: 0 }, '/mounts/0');
  b.op('attach', { src: 'tmp', root: 'root', path: '/tmp', ordinary: 0 }, '/mounts/0');
  b.op('attach', { src: 'data', root: 'root', path: '/data', ordinary: 0 }, '/mounts/1');
  b.op('attach', { src: 'more', root: 'root', path: '/more', ordinary: 0 }, '/mounts/2');
  b.op('send_handle', { src: 'tmp', tag: tags.console }, '/process/terminal');
  b.op('pivot', { root: 'root' }, '/root/path');
  b.op('stdio', { stdin: 'std0', stdout: 'std1', stderr: 'std2' }, 'stdio');
  b.op('sync', { tag: tags.start }, 'start');
  if (reaps) b.op('reap', { capabilities: 0 }, '/process');
  b.op('chdir', { path: '/work' }, '/process/cwd');
  b.op('find', { files: ['/usr/bin/foo', '/bin/foo'] }, '/process/args/0');
  b.op('exec', { files: ['/usr/bin/foo', '/bin/foo'], argv: ['foo', '-x'], env: [] }, '/process/args');
  return {
    flags: newUser | newMount | newPid,
    maps: {
      uids: [
        { container: 0, host: 1000, size: 1 },
        { container: 1, host: 100000, size: 65536 },
      ],
      gids: [{ container: 0, host: 1000, size: 1 }],
      setgroups: 'allow',
      by: 'newuidmap',
      origin: '/linux/uidMappings',
    },
    cgroup: {
      driver: 'cgroupfs',
      parent: cgroupRoot,
      path,
      controllers: ['memory', 'pids'],
      writes: [
        { file: 'memory.max', value: '1048576', origin: '/linux/resources/memory/limit' },
        { file: 'pids.max', value: '10', origin: '/linux/resources/pids/limit' },
      ],
    },
    inputs,
    segment: b.segment(),
    reaps,
  };
}

export const hostFiles = { '/data': null, '/more': null, '/image': null } as const;

export function createIn(sim: Sim, plan: Plan, options: CreateOptions = {}) {
  const stdio = [sim.handle('stdin'), sim.handle('stdout'), sim.handle('stderr')] as const;
  return createContainer(sim.host, plan, { stdio, ...options });
}

export async function startIn(sim: Sim, plan: Plan, options: CreateOptions = {}): Promise<Running> {
  return start(await createIn(sim, plan, options));
}

/** What a promise was rejected with. */
export async function failure(work: Promise<unknown>): Promise<unknown> {
  try {
    await work;
  } catch (error) {
    return error;
  }
  throw new Error('it did not fail');
}
