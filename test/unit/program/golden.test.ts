// The files in test/program/goldens are for the verifier in C++ too; npx vitest -u writes them anew.
import { expect, test } from 'vitest';
import { encode } from '../../../lib/program/encode.ts';
import { explain } from '../../../lib/program/explain.ts';
import { headerAt, layoutOf, opAt } from '../../../lib/program/layout.ts';
import { wire } from '../../../lib/program/limits.ts';
import type { OpName } from '../../../lib/program/ops.ts';
import { type Reason, verify } from '../../../lib/program/verify.ts';
import { small } from './small.ts';

const goldens = '../../program/goldens';
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

test('the small program has these bytes', async () => {
  const rows = hex(encode(small())).match(/.{1,64}/g)!;
  await expect(`${rows.join('\n')}\n`).toMatchFileSnapshot(`${goldens}/small.hex`);
});

test('the small program has these ops', async () => {
  const json = JSON.stringify(
    small(),
    (_, value) => (typeof value === 'bigint' ? `${value}` : value instanceof Uint8Array ? hex(value) : value),
    1,
  );
  await expect(`${json}\n`).toMatchFileSnapshot(`${goldens}/small.json`);
});

test('the small program reads like this', () => {
  expect(explain(small())).toMatchInlineSnapshot(`
    "     inputs            out userns
      0  become_root                                                                      ; /linux/namespaces
      1  join              namespaces=[userns]                                            ; /linux/namespaces
      2  fsmount           dst=sys fstype=sysfs options=[ro größe=1] attributes=ro,nosuid,nodev,noexec [unless EPERM,EBUSY] [skip 1]  ; /mounts/1
      3  clone_mount       dst=sys path=/sys recursive                                    ; /mounts/1
      4  attach_host       src=sys path=/mnt                                              ; /mounts/1
      5  sync              tag=1                                                          ; start
      6  pivot             root=sys                                                       ; /root
      7  file              root=sys path=hosts mode=0644 content=<3 bytes> [unless EEXIST]  ; hosts
      8  rlimit            resource=nofile soft=1024 hard=unlimited                       ; /process/rlimits/0
      9  no_new_privs                                                                     ; /process/noNewPrivileges
     10  stdio             stdin=out stdout=out stderr=out                                ; stdio
     11  seccomp           filter=<8 bytes> flags=log                                     ; /linux/seccomp
     12  send_handle       src=out tag=2                                                  ; console
     13  exec              files=[/bin/sh] argv=[sh -c ""] env=[]                         ; /process/args
    "
  `);
});

interface Patch {
  readonly what: string;
  readonly op: number;
  readonly reason: Reason;
  readonly at: number;
  readonly bytes: readonly number[];
}

const program = encode(small());
const view = new DataView(program.buffer);
const dataStart = 64 + 64 * small().ops.length;
const little = (value: number, size: number) =>
  Array.from({ length: size }, (_, i) => Math.floor(value / 256 ** i) & 255);

/** The first op becomes a reaper, and the next one another op. */
const underReaper = (what: string, name: OpName): Patch => ({
  what,
  op: 1,
  reason: 'reap',
  at: wire.headerBytes,
  bytes: [...little(layoutOf('reap')!.code, wire.opBytes), ...little(layoutOf(name)!.code, 2)],
});
const header = (what: string, reason: Reason, at: number, value: number, size = 4): Patch => ({
  what,
  op: -1,
  reason,
  at,
  bytes: little(value, size),
});
const record = (what: string, op: number, reason: Reason, field: number, value: number, size = 8): Patch => ({
  what,
  op,
  reason,
  at: wire.headerBytes + op * wire.opBytes + field,
  bytes: little(value, size),
});
const arg = (slot: number) => opAt.args + 8 * slot;
const at = (op: number, field: number) => view.getUint32(wire.headerBytes + op * wire.opBytes + field, true);
/** A word in the data section, by the offset in an operand of an op; the blame goes to that op. */
const word = (what: string, op: number, reason: Reason, field: number, index: number, value: number): Patch => ({
  what,
  op,
  reason,
  at: dataStart + at(op, field) + 4 * index,
  bytes: little(value, 4),
});

const [join, fsmount, clone, attach, sync, pivot, file, rlimit, privs, stdio, seccomp, send, exec] = [
  1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13,
] as const;
const data = program.length - dataStart;

const patches: readonly Patch[] = [
  header('another magic', 'magic', headerAt.magic, 0),
  header('another version', 'version', headerAt.version, 2, 2),
  header('another schema', 'schema', headerAt.schemaHigh, 1),
  header('an unknown flag', 'flags', headerAt.flags, 4, 2),
  header('no ops', 'size', headerAt.ops, 0),
  header('one op more', 'size', headerAt.ops, 15),
  header('more ops than there may be', 'size', headerAt.ops, 4097),
  header('a size that wraps', 'size', headerAt.ops, 0x04000000),
  header('another total', 'size', headerAt.total, 8),
  header('too little data', 'size', headerAt.data, 0),
  header('too many registers', 'registers', headerAt.registers, 513, 2),
  header('more inputs than registers', 'registers', headerAt.inputs, 4, 2),
  header('a failure without TEST', 'fail_at', headerAt.failAt, 1),
  header('an errno without TEST', 'fail_at', headerAt.failErrno, 1),
  header('TEST without an errno', 'fail_at', headerAt.flags, 2, 2),
  header('a reserved byte', 'reserved', 63, 1, 1),
  header('something at offset 0 of the data', 'data', dataStart + 7, 1, 1),
  header('no NUL at the end', 'data', program.length - 1, 1, 1),
  record('an unknown opcode', join, 'opcode', opAt.code, 0xffff, 2),
  record('on_error 2', fsmount, 'condition', opAt.onError, 2, 1),
  record('a guard without SKIP', fsmount, 'condition', opAt.onError, 0, 1),
  record('SKIP without a guard', fsmount, 'condition', opAt.guard, 0, 4),
  record('a guard that is not aligned', fsmount, 'condition', opAt.guard, at(fsmount, opAt.guard) + 2, 4),
  record('a guard outside the data', fsmount, 'condition', opAt.guard, data, 4),
  record('a skip over a barrier', sync, 'barrier', opAt.skip - 64 * (sync - fsmount), 3, 1),
  record(
    'a barrier with a guard',
    sync,
    'barrier',
    opAt.code,
    at(sync, opAt.code) + 2 ** 16 + 2 ** 32 * at(fsmount, opAt.guard),
  ),
  record('a skip past the end', file, 'condition', opAt.skip, 6, 1),
  record('a skip of 16', fsmount, 'condition', opAt.skip, 16, 1),
  word('an empty guard', fsmount, 'condition', opAt.guard, 0, 0),
  word('a guard of 17', fsmount, 'condition', opAt.guard, 0, 17),
  word('errno 0', fsmount, 'condition', opAt.guard, 1, 0),
  word('errno 4096', fsmount, 'condition', opAt.guard, 2, 4096),
  record('an alternative that is not jumped over', clone, 'fill', opAt.skip - 64, 0, 1),
  record(
    'an alternative that may fail too',
    attach,
    'register',
    -64,
    at(clone, opAt.code) + 2 ** 16 + 2 ** 32 * at(fsmount, opAt.guard),
  ),
  record('an end before the end', join, 'end', opAt.code, 0, 2),
  record('no end at the end', exec, 'end', opAt.code, 1, 2),
  underReaper('a second reaper', 'reap'),
  underReaper('a fork under a reaper', 'fork'),
  underReaper('a start that is waited for under a reaper', 'await_start'),
  record('a second pivot', file, 'pivot', opAt.code, at(pivot, opAt.code) & 0xffff, 2),
  record('a root moved after the pivot', file, 'pivot', opAt.code, layoutOf('move_root')!.code, 2),
  record('a host path after the pivot', file, 'pivot', opAt.code, at(attach, opAt.code) & 0xffff, 2),
  record('an op that the filter may deny', send, 'seccomp', opAt.code, at(stdio, opAt.code) & 0xffff, 2),
  record('a second filter that fills a register twice', send, 'fill', opAt.code, layoutOf('listener')!.code, 2),
  record('something in a slot that is not used', privs, 'slot', arg(6) + 7, 1, 1),
  record('an int over its limit', rlimit, 'int', arg(0), 16),
  record('an int over 2^32', sync, 'int', arg(0) + 4, 1, 4),
  record('flags outside their mask', fsmount, 'flags', arg(3), 0x100),
  record('flags outside their mask, high', seccomp, 'flags', arg(1) + 4, 1, 4),
  record('a register that is not there', stdio, 'register', arg(0), 3),
  record('a register over 2^32', stdio, 'register', arg(1) + 4, 1, 4),
  record('no register where one must be', stdio, 'register', arg(2), wire.noRegister),
  record('a register that is not filled yet', join, 'register', arg(1), 2),
  record('an input that is filled again', fsmount, 'fill', arg(0), 0),
  record('a register to fill that is not there', fsmount, 'fill', arg(0), 3),
  word('a list with a register that is not filled yet', join, 'register', arg(0), 1, 2),
  word('a list with no register', join, 'register', arg(0), 1, wire.noRegister),
  record('no text', fsmount, 'text', arg(1), 0),
  record('a text outside the data', fsmount, 'text', arg(1), data),
  record('a list at offset 0', fsmount, 'list', arg(2), 0),
  record('a list that is not aligned', fsmount, 'list', arg(2), at(fsmount, arg(2)) + 1),
  word('a list that wraps', fsmount, 'list', arg(2), 0, 0x40000000),
  word('a list with a text outside the data', fsmount, 'list', arg(2), 1, data),
  word('a list with a text at offset 0', exec, 'list', arg(1), 3, 0),
  record('bytes at offset 4', file, 'bytes', arg(3), 4),
  record('bytes at the very end', file, 'bytes', arg(3), data),
  word('bytes that are longer than the data', file, 'bytes', arg(3), 0, data),
  word('bytes whose length wraps', file, 'bytes', arg(3), 0, 0xffffffff),
];

function patched({ at, bytes }: Patch): Uint8Array {
  const mutant = program.slice();
  mutant.set(bytes, at);
  return mutant;
}

test.each(patches)('the verifier refuses $what', (patch) => {
  expect(verify(patched(patch))).toEqual({ op: patch.op, reason: patch.reason });
});

test('the refusals are on file for the other verifier', async () => {
  const lines = patches.map(
    ({ what, op, reason, at, bytes }) => `${op} ${reason} ${at} ${hex(Uint8Array.from(bytes))} ${what}`,
  );
  await expect(`${lines.join('\n')}\n`).toMatchFileSnapshot(`${goldens}/refused.txt`);
});
