import { readFileSync } from 'node:fs';
import { expect } from 'vitest';
import { TerminalStream } from '../../lib/node/terminal.ts';
import type { Op } from '../../lib/program/ops.ts';
import { directory, fail, ownMounts as flags, op, opened, run, succeed } from '../support/ops.ts';
import { testIf } from '../support/requires.ts';

testIf('userns')('a pty of a devpts of ours: its slave is the terminal of the session', async () => {
  const ops = [
    op('fsmount', {
      dst: 'pts',
      fstype: 'devpts',
      options: ['newinstance', 'ptmxmode=0666', 'mode=0620'],
      attributes: 0,
    }),
    op('pty', { master: 'master', slave: 'slave', devpts: 'pts' }),
    op('window', { src: 'slave', columns: 132, rows: 43 }),
    op('new_session', {}),
    op('controlling_terminal', { src: 'slave' }),
    op('own', { src: 'slave', uid: 0, gid: 0 }),
  ];
  const columns: unknown[] = [];
  let master: TerminalStream | undefined;
  await succeed([...ops, op('send_handle', { src: 'master', tag: 1 }), op('sync', { tag: 2 })], {
    flags,
    at: (_, { session, handles }) => {
      master = new TerminalStream(handles.get(1)!);
      columns.push(master.size);
      // The seventh field of stat: the controlling terminal.
      expect(readFileSync(`/proc/${session.pid}/stat`, 'utf8').split(' ')[6]).not.toBe('0');
    },
  });
  master?.destroy();
  expect(columns).toEqual([{ columns: 132, rows: 43 }]);
  const notATerminal = opened('null', '/dev/null');
  expect(await fail([notATerminal, op('window', { src: 'null', columns: 1, rows: 1 })])).toBe('window ioctl EBADF');
  expect(await fail([notATerminal, op('controlling_terminal', { src: 'null' })])).toBe(
    'controlling_terminal ioctl EBADF',
  );
  expect(await fail([opened('dir', directory()), op('pty', { master: 'm', slave: 's', devpts: 'dir' })])).toBe(
    'pty openat2 ENOENT ptmx',
  );
});

testIf('userns', 'root')('a pty of what is no devpts, or with something mounted on its ptmx, is refused', async () => {
  const at = directory();
  const pair = { master: 'm', slave: 's', devpts: 'dir' };
  // The master of the host's own terminals, in a directory of the image.
  const node = op('node', { root: 'dir', path: 'ptmx', mode: 0o20666, major: 5, minor: 2, uid: 0, gid: 0 });
  expect(await fail([opened('dir', at), node, op('pty', pair)])).toBe('pty openat2 ENOTTY ptmx');
  const ops = [
    op('fsmount', { dst: 'dir', fstype: 'devpts', options: ['newinstance', 'ptmxmode=0666'], attributes: 0 }),
    op('attach_host', { src: 'dir', path: at }),
    op('clone_mount', { dst: 'other', path: '/dev/null', recursive: 0 }),
    op('attach', { src: 'other', root: 'dir', path: 'ptmx', ordinary: 0 }),
  ];
  expect(await fail([...ops, op('pty', pair)], { flags })).toBe('pty openat2 EXDEV ptmx');
});

testIf('userns')('plain_output takes no carriage returns into what a terminal shows', async () => {
  const shown = async (ops: Op[]) => {
    let said = '';
    const start = [
      op('fsmount', { dst: 'pts', fstype: 'devpts', options: ['newinstance', 'ptmxmode=0666'], attributes: 0 }),
      op('pty', { master: 'master', slave: 'slave', devpts: 'pts' }),
    ];
    const write = [
      op('send_handle', { src: 'master', tag: 1 }),
      op('sync', { tag: 2 }),
      op('stdio', { stdin: 'slave', stdout: 'slave', stderr: 'slave' }),
      op('exec', { files: ['/bin/busybox'], argv: ['busybox', 'echo', 'a'], env: [] }),
    ];
    let ended: Promise<unknown> = Promise.resolve();
    await run([...start, ...ops, ...write], {
      flags,
      at: (_, { handles }) => {
        const master = new TerminalStream(handles.get(1)!);
        master.on('data', (bytes) => (said += bytes));
        ended = new Promise((resolve) => master.once('close', resolve));
      },
    });
    await ended;
    return said;
  };
  expect(await shown([])).toBe('a\r\n');
  expect(await shown([op('plain_output', { src: 'slave' })])).toBe('a\n');
  expect(await fail([opened('null', '/dev/null'), op('plain_output', { src: 'null' })])).toBe(
    'plain_output ioctl EBADF',
  );
});
