// One small program with every kind of operand, a fallback and an order of its own: the golden and its mutants.
import { Builder } from '../../../lib/program/builder.ts';
import type { Encodable } from '../../../lib/program/encode.ts';

export function small(): Encodable {
  const p = new Builder();
  const out = p.input('out');
  const userns = p.input('userns');
  p.op('become_root', {}, '/linux/namespaces');
  p.op('join', { namespaces: [userns], user: undefined }, '/linux/namespaces');
  p.op('fsmount', { dst: 'sys', fstype: 'sysfs', options: ['ro', 'größe=1'], attributes: 0xf }, '/mounts/1', {
    unless: ['EPERM', 'EBUSY'],
    skip: 1,
  });
  p.op('clone_mount', { dst: 'sys', path: '/sys', recursive: 1 }, '/mounts/1');
  p.op('attach_host', { src: 'sys', path: '/mnt' }, '/mounts/1');
  p.op('sync', { tag: 1 }, 'start');
  p.op('pivot', { root: 'sys' }, '/root');
  p.op('file', { root: 'sys', path: 'hosts', mode: 0o644, content: Uint8Array.of(1, 2, 3) }, 'hosts', {
    unless: ['EEXIST'],
  });
  p.op('rlimit', { resource: 7, soft: 1024, hard: (1n << 64n) - 1n }, '/process/rlimits/0');
  p.op('no_new_privs', {}, '/process/noNewPrivileges');
  p.op('stdio', { stdin: out, stdout: out, stderr: out }, 'stdio');
  p.op('seccomp', { filter: Uint8Array.of(6, 0, 0, 0, 0, 0, 255, 127), flags: 2 }, '/linux/seccomp');
  p.op('send_handle', { src: out, tag: 2 }, 'console');
  p.op('exec', { files: ['/bin/sh'], argv: ['sh', '-c', ''], env: [] }, '/process/args');
  return p.segment();
}
