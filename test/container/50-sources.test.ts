import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { type CommonOptions, createContainer, type RunOptions, run } from '../../lib/index.ts';
import { defaultSpec } from '../../lib/spec/defaults.ts';
import { expectUnchanged, look } from '../support/look.ts';
import { can, testIf } from '../support/requires.ts';
import { busyboxRoot, type TemporaryDirectory, temporaryDirectory } from '../support/rootfs.ts';

const test = testIf('userns', 'busybox');
const testMapped = process.getuid?.() === 0 ? testIf('root', 'busybox') : testIf('subuids', 'busybox');
const isRoot = process.getuid?.() === 0;

let rootfs: TemporaryDirectory;
let work: TemporaryDirectory;
beforeAll(() => {
  work = temporaryDirectory();
  rootfs = can('busybox') === true ? busyboxRoot() : temporaryDirectory();
});
afterAll(() => {
  rootfs.remove();
  work.remove();
});

const shell = (script: string, options: CommonOptions & RunOptions & { readonly rootfs?: string } = {}) =>
  run({ rootfs: rootfs.path, command: ['sh', '-c', script], ...options });

describe('a root file system', () => {
  test('is the root of the container, and keeps what is written to it', async () => {
    const { stdout } = await shell('ls /; echo hello > /etc/made');
    expect(stdout).toBe('bin\ndev\netc\nhome\nproc\nroot\nsys\ntmp\n');
    expect(readFileSync(join(rootfs.path, 'etc/made'), 'utf8')).toBe('hello\n');
  });

  test('that is read-only cannot be written to', async () => {
    const { stdout } = await shell('touch /etc/x 2>/dev/null || echo no; echo y > /dev/shm/y && cat /dev/shm/y', {
      readonly: true,
    });
    expect(stdout).toBe('no\ny\n');
    expect(readdirSync(join(rootfs.path, 'etc'))).not.toContain('x');
  });

  test('may be relative to the working directory', async () => {
    const relative = execFileSync('realpath', ['--relative-to=.', rootfs.path], { encoding: 'utf8' }).trim();
    expect((await shell('echo ok', { rootfs: relative })).stdout).toBe('ok\n');
  });

  test('that does not exist, or is a file, is an error', async () => {
    await expect(shell('true', { rootfs: '/no/such' })).rejects.toMatchObject({
      code: 'ERR_NOT_FOUND',
      origin: '/rootfs',
    });
    await expect(shell('true', { rootfs: '/etc/passwd' })).rejects.toMatchObject({
      code: 'ERR_SPEC',
      origin: '/rootfs',
    });
  });
});

describe('users', () => {
  testMapped('by name, number, and number of a group', async () => {
    const ids = 'id -u; id -g; id -G; echo $HOME';
    expect((await shell(ids, { user: 'app' })).stdout).toBe('1000\n1000\n1000 2000\n/home/app\n');
    expect((await shell(ids, { user: '1000' })).stdout).toBe('1000\n1000\n1000 2000\n/home/app\n');
    expect((await shell(ids, { user: 'app:extra' })).stdout).toBe('1000\n2000\n2000\n/home/app\n');
    expect((await shell(ids, { user: '1234:1235' })).stdout).toBe('1234\n1235\n1235\n/\n');
  });

  test('that are not in the root file system are an error before anything is made', async () => {
    const before = look();
    await expect(shell('true', { user: 'nobody-here' })).rejects.toThrow('nobody-here');
    await expect(shell('true', { user: 'app:no-group' })).rejects.toThrow('no-group');
    await expectUnchanged(before);
  });

  testMapped('do not get at what is not theirs', async () => {
    const { stdout } = await shell('cat /root/secret 2>&1; touch /etc/x 2>&1; true', { user: 'app' });
    expect(stdout).toMatch(/can't open.*\n.*Permission denied/);
  });
});

describe('mounts', () => {
  test('a bind shows a directory of the host, and writes reach it', async () => {
    const source = join(work.path, 'shared');
    mkdirSync(source);
    chmodSync(source, 0o777);
    writeFileSync(join(source, 'a'), 'from outside\n');
    const mounts = [{ type: 'bind' as const, source, target: '/data' }];
    const { stdout } = await shell('cat /data/a; stat -c %u:%g /data/a; echo inside > /data/b', { mounts });
    const made = statSync(join(source, 'b'));
    expect(readFileSync(join(source, 'b'), 'utf8')).toBe('inside\n');
    if (isRoot) {
      // Owners are as they are: root of the container cannot leave files of root behind on the host.
      expect(stdout).toBe('from outside\n65534:65534\n');
      expect(made.uid).toBeGreaterThan(0);
    } else {
      expect(stdout).toBe('from outside\n0:0\n');
      expect(made.uid).toBe(process.getuid?.());
    }
  });

  testIf('root', 'busybox')('owners of a bind are mapped on request', async () => {
    const source = join(work.path, 'mapped');
    mkdirSync(source, { mode: 0o700 });
    const mounts = [{ type: 'bind' as const, source, target: '/data' }];
    const { stdout } = await shell('echo x > /data/b; stat -c %u:%g /data/b', {
      mounts,
      spec: (spec) => void spec.mounts?.at(-1)?.options?.push('ridmap'),
    });
    expect(stdout).toBe('0:0\n');
    expect(statSync(join(source, 'b')).uid).toBe(0);
  });

  test('a read-only bind cannot be written to, or made writable', async () => {
    const source = join(work.path, 'fixed');
    mkdirSync(source);
    const mounts = [{ type: 'bind' as const, source, target: '/deep/new/data', readonly: true }];
    const script = 'touch /deep/new/data/x 2>&1 || mount -o remount,rw /deep/new/data 2>&1 || true';
    const { stdout } = await shell(script, { mounts });
    expect(stdout).toMatch(/Read-only file system/);
    expect(readdirSync(source)).toEqual([]);
  });

  test('a bind of a single file', async () => {
    const source = join(work.path, 'file');
    writeFileSync(source, 'one\n');
    const mounts = [{ type: 'bind' as const, source, target: '/etc/one', readonly: true }];
    expect((await shell('cat /etc/one; echo two > /etc/one 2>/dev/null || echo no', { mounts })).stdout).toBe(
      'one\nno\n',
    );
  });

  test('a tmpfs has the size and mode that were asked, and goes with the container', async () => {
    const mounts = [{ type: 'tmpfs' as const, target: '/scratch', size: '1m' as const, mode: 0o700 }];
    const script = 'stat -c %a /scratch; head -c 2000000 /dev/zero > /scratch/x 2>/dev/null || wc -c < /scratch/x';
    expect((await shell(script, { mounts })).stdout).toBe('700\n1048576\n');
    expect(readdirSync(join(rootfs.path, 'scratch'))).toEqual([]);
  });

  test('a source that is missing is an error that names it', async () => {
    const before = look();
    const mounts = [{ type: 'bind' as const, source: '/no/such/source', target: '/data' }];
    await expect(shell('true', { mounts })).rejects.toThrow('/no/such/source');
    await expectUnchanged(before);
  });

  test('a target that is a link stays inside', async () => {
    execFileSync('ln', ['-sfn', '/../../../tmp', join(rootfs.path, 'link')]);
    const source = join(work.path, 'linked');
    mkdirSync(source);
    writeFileSync(join(source, 'in'), 'x');
    const mounts = [{ type: 'bind' as const, source, target: '/link/below' }];
    expect((await shell('ls /tmp/below', { mounts })).stdout).toBe('in\n');
    expect(readdirSync('/tmp')).not.toContain('below');
  });
});

describe('a bundle', () => {
  function bundle(edit: (spec: ReturnType<typeof defaultSpec>) => void): string {
    const path = join(work.path, `bundle-${Math.random().toString(36).slice(2)}`);
    mkdirSync(path);
    const spec = defaultSpec();
    spec.root.path = rootfs.path;
    edit(spec);
    writeFileSync(join(path, 'config.json'), JSON.stringify(spec));
    return path;
  }

  test('runs the command of its config.json', async () => {
    const path = bundle((spec) => {
      spec.process!.args = ['sh', '-c', 'echo $GREETING; hostname; pwd; echo $$'];
      spec.process!.env = ['PATH=/bin', 'GREETING=hi'];
      spec.process!.cwd = '/tmp';
      spec.hostname = 'bundled';
    });
    expect((await run({ bundle: path })).stdout).toBe('hi\nbundled\n/tmp\n1\n');
    expect((await run({ bundle: path, command: ['echo', 'other'] })).stdout).toBe('other\n');
  });

  test('that is not one, or is not valid, is an error with every issue', async () => {
    await expect(run({ bundle: work.path })).rejects.toMatchObject({ code: 'ERR_NOT_FOUND' });
    const path = bundle((spec) => {
      spec.process!.cwd = 'relative';
      (spec as { ociVersion: unknown }).ociVersion = 7;
    });
    const error = await run({ bundle: path }).catch((e) => e);
    expect(error).toMatchObject({ code: 'ERR_SPEC' });
    expect(error.issues.map((issue: { path: string }) => issue.path).sort()).toEqual(['/ociVersion', '/process/cwd']);
  });
});

test('the caller may edit the spec last', async () => {
  const { stdout } = await shell('hostname; cat /proc/sys/net/ipv4/ip_unprivileged_port_start', {
    spec: (spec) => {
      spec.hostname = 'edited';
      spec.linux.sysctl = { 'net.ipv4.ip_unprivileged_port_start': '0' };
    },
  });
  expect(stdout).toBe('edited\n0\n');
});

test('a limit that nobody can keep is an error with the remedy, and nothing is made', async () => {
  const make = async () => {
    const options = { rootfs: rootfs.path, command: ['true'], limits: { memory: '64m' as const } };
    const made = await createContainer(options).catch((e) => e);
    if (made.code === undefined) await made.remove();
    return made;
  };
  await make(); // where it can be kept, a keeper of the cgroup stays for the next one
  const before = look();
  const made = await make();
  if (made.code !== undefined)
    expect(made).toMatchObject({
      code: 'ERR_UNSUPPORTED',
      origin: expect.stringContaining('memory'),
      hint: expect.any(String),
    });
  await expectUnchanged(before);
});
