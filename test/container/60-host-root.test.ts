import { chmodSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { run } from '../../lib/index.ts';
import { testIf } from '../support/requires.ts';
import { temporaryDirectory } from '../support/rootfs.ts';
import { inside, lines } from './inside.ts';

const test = testIf('userns');

test('programs and settings of this machine are there', async () => {
  expect(await inside('cat /etc/os-release')).toBe(readFileSync('/etc/os-release', 'utf8'));
  expect(lines(await inside('ls /usr/bin'))).toEqual(expect.arrayContaining(readdirSync('/usr/bin').slice(0, 20)));
});

test('writes are private, and gone with the container', async () => {
  const name = `runts-test-${process.pid}`;
  const script = `for d in /usr /etc /opt; do echo x > $d/${name} && cat $d/${name}; done`;
  expect(await inside(script)).toBe('x\nx\nx\n');
  for (const directory of ['/usr', '/etc', '/opt']) expect(existsSync(join(directory, name))).toBe(false);
  expect(await inside(`ls /usr/${name} || true`, { stderr: 'ignore' })).toBe('');
});

// The files belong to root of this machine, whom an ordinary user cannot map.
testIf('root')('as root, programs can be replaced, privately', async () => {
  const before = statSync('/usr/bin');
  const size = statSync('/usr/bin/stat').size;
  const script = 'rm /usr/bin/env; echo y > /usr/bin/stat; cat /usr/bin/stat; echo x > /usr/bin/x; ls /usr/bin/env';
  const { stdout } = await run({ host: true, command: ['sh', '-c', script], reject: false, stderr: 'ignore' });
  expect(stdout).toBe('y\n');
  expect(existsSync('/usr/bin/env')).toBe(true);
  expect(statSync('/usr/bin/stat').size).toBe(size);
  expect(statSync('/usr/bin').mtimeMs).toBe(before.mtimeMs);
});

test('a read-only host root takes no writes at all', async () => {
  const script =
    'for d in / /usr /etc /root /home; do touch $d/x 2>/dev/null || echo no; done; touch /dev/shm/x && echo yes';
  expect(await inside(script, { readonly: true })).toBe('no\nno\nno\nno\nno\nyes\n');
});

test('homes and data of this machine are not there', async () => {
  const places = '/home /root /srv /mnt /media /tmp /run /var/tmp';
  expect(await inside(`for d in ${places}; do ls -A $d; done`)).toBe('');
  expect(lines(await inside('ls -A / /var')).sort()).not.toContain('boot');
  expect(await inside('ls -A /var')).toBe('tmp\n');
});

test('what only root of this machine may read stays closed to root of the container', async () => {
  const { stdout } = await run({ host: true, command: ['sh', '-c', 'cat /etc/shadow; echo $?'], stderr: 'ignore' });
  expect(stdout).toBe('1\n');
  const { stdout: hard } = await run({
    host: true,
    command: ['sh', '-c', 'chmod 644 /etc/shadow; chown root /etc/shadow; cp /etc/shadow /tmp/s; cat /etc/shadow'],
    stderr: 'ignore',
    reject: false,
  });
  expect(hard).toBe('');
});

test('no program gains rights by its set-user-id bit', async () => {
  expect(
    await inside('id -u; find /usr/bin -perm -4000 | head -1 | wc -l; grep -c nosuid /proc/self/mountinfo'),
  ).toMatch(/^0\n/);
  const mounts = lines(await inside('cat /proc/self/mountinfo'));
  expect(mounts.length).toBeGreaterThan(10);
});

test('a directory of the project can be bound in', async () => {
  const work = temporaryDirectory();
  try {
    chmodSync(work.path, 0o777);
    writeFileSync(join(work.path, 'input'), 'data\n');
    const mounts = [{ type: 'bind' as const, source: work.path, target: '/work' }];
    expect(await inside('cd /work && cat input && echo result > output', { mounts })).toBe('data\n');
    expect(readFileSync(join(work.path, 'output'), 'utf8')).toBe('result\n');
  } finally {
    work.remove();
  }
});

test('paths of this machine that mounts name can be under the directories that it borrows', async () => {
  for (const source of ['/mnt', '/media', '/srv'].filter((path) => existsSync(path))) {
    const mounts = [{ type: 'bind' as const, source, target: '/seen', readonly: true }];
    expect(lines(await inside('ls -A /seen', { mounts }))).toEqual(readdirSync(source).sort());
  }
});
