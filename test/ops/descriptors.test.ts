// What a command inherits beside its three descriptors.
import { writeFileSync } from 'node:fs';
import { arch } from 'node:process';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { Handle } from '../../lib/host/host.ts';
import type { Op } from '../../lib/program/ops.ts';
import { directory, fail, host, isolated, op, opened, output, run, succeed } from '../support/ops.ts';
import { testIf } from '../support/requires.ts';

const busybox = testIf('busybox');

/** Files of which each has its name as content, as handles. */
async function files(...names: string[]): Promise<Record<string, Handle>> {
  const at = directory();
  const entries = names.map(async (name) => {
    writeFileSync(`${at}/${name}`, name);
    const handle = await host.files.open(`${at}/${name}`, 'read');
    onTestFinished(() => handle.close());
    return [name, handle] as const;
  });
  return Object.fromEntries(await Promise.all(entries));
}

const read = (...fds: number[]) => ['sh', '-c', fds.map((fd) => `cat <&${fd}; echo`).join(';')];
const descriptors = (...list: string[]) => op('descriptors', { descriptors: list });

describe('descriptors', () => {
  busybox('are the command’s from 3 on, in this order, whatever number they had', async () => {
    for (const order of ['abcd', 'dcba', 'badc', 'cda', 'd']) {
      const inputs = await files('a', 'b', 'c', 'd');
      const ops = [descriptors(...order), op('close_from', { fd: 3 + order.length })];
      const { text } = await output(ops, read(...[...order].map((_, i) => 3 + i)), { inputs });
      expect(text).toBe([...order].map((name) => `${name}\n`).join(''));
    }
  });

  busybox('with close_from after them, they are all that the command has', async () => {
    const inputs = await files('a', 'b', 'c');
    const ops = [descriptors('c', 'a'), op('close_from', { fd: 5 })];
    const { text } = await output(ops, ['ls', '/proc/self/fd'], { inputs });
    // The last is the directory that is read.
    expect(text.trim().split(/\s+/)).toEqual(['0', '1', '2', '3', '4', '5']);
    const { text: none } = await output([descriptors(), op('close_from', { fd: 3 })], ['ls', '/proc/self/fd'], {
      inputs,
    });
    expect(none.trim().split(/\s+/)).toEqual(['0', '1', '2', '3']);
  });

  busybox('leave the channel and the other registers as they were', async () => {
    const inputs = await files('a', 'b');
    const after: Op[] = [
      opened('late', '/etc'),
      op('sync', { tag: 1 }),
      op('enter', { dir: 'early' }),
      op('enter', { dir: 'late' }),
      op('send_handle', { src: 'a', tag: 2 }),
    ];
    const tags: number[] = [];
    const at = (tag: number) => tags.push(tag);
    const ran = await succeed([opened('early', '/'), descriptors('b', 'a', 'b', 'a', 'b', 'a'), ...after], {
      inputs,
      at,
    });
    expect(tags).toEqual([1]);
    expect(ran.handles.has(2)).toBe(true);
  });

  testIf('userns', 'busybox')('leave the reaper its word with us', async () => {
    const inputs = await files('a', 'b', 'c', 'd', 'e', 'f');
    const ops = [op('reap', { capabilities: 0 }), descriptors(...'abcdef'), op('close_from', { fd: 9 })];
    const flags = isolated.user | isolated.pid;
    const { text, frames, exit } = await output(ops, read(3, 8), { inputs, flags });
    expect(text).toBe('a\nf\n');
    expect(frames.map(({ kind }) => kind)).toEqual(['started', 'exit']);
    expect(exit).toEqual({ code: 0, signal: undefined });
    const missing = op('exec', { files: ['/nonexistent'], argv: ['x'], env: [] });
    const failed = await run([...ops, missing], { inputs, flags });
    expect(failed.frames).toMatchObject([{ kind: 'error', op: 'exec', errno: 2 }, { kind: 'exit' }]);
  });

  test('beyond the limit on open files are refused', async () => {
    const inputs = await files('a');
    const limit = op('rlimit', { resource: 7, soft: 8, hard: 8 });
    expect(await fail([limit, descriptors('a', 'a', 'a', 'a', 'a', 'a')], { inputs })).toBe('descriptors fcntl EINVAL');
  });
});

// ---- listener ----------------------------------------------------------------------------------------------------------

/** acct(2), which no command here calls. */
const acct = arch === 'x64' ? 163 : 89;

/** A filter that asks the listener about one system call. */
function notifies(call: number): Uint8Array {
  const rows: readonly (readonly number[])[] = [
    [0x20, 0, 0, 0],
    [0x15, 0, 1, call],
    [0x06, 0, 0, 0x7fc00000],
    [0x06, 0, 0, 0x7fff0000],
  ];
  const view = new DataView(new ArrayBuffer(32));
  rows.forEach(([code, yes, no, k], i) => {
    view.setUint16(8 * i, code!, true);
    view.setUint8(8 * i + 2, yes!);
    view.setUint8(8 * i + 3, no!);
    view.setUint32(8 * i + 4, k!, true);
  });
  return new Uint8Array(view.buffer);
}

describe('listener', () => {
  const listener = (flags = 0) => op('listener', { dst: 'l', filter: notifies(acct), flags });
  const send = op('send_handle', { src: 'l', tag: 3 });

  test('installs the filter and gives the descriptor of its notifications, which goes to the host', async () => {
    const { handles } = await succeed([op('no_new_privs', {}), listener(), send]);
    expect(handles.has(3)).toBe(true);
  });

  busybox('the filter is the command’s, the descriptor is not', async () => {
    const { text, handles } = await output(
      [op('no_new_privs', {}), listener(), send],
      ['sh', '-c', 'grep Seccomp: /proc/self/status; ls /proc/self/fd'],
    );
    expect(text).toMatch(/Seccomp:\t2\n0\n1\n2\n3\n$/);
    expect(handles.has(3)).toBe(true);
  });

  test('is one for a process, and needs no_new_privs or privileges', async () => {
    const twice = [op('no_new_privs', {}), listener(), op('listener', { dst: 'm', filter: notifies(1), flags: 0 })];
    expect(await fail(twice)).toBe('listener seccomp EBUSY');
    expect(await fail([listener(1)])).toBe('listener seccomp EINVAL');
    if (!host.environment.privileged) expect(await fail([listener()])).toBe('listener seccomp EACCES');
  });
});
