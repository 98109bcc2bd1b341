import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { testIf } from '../support/requires.ts';
import { writeImage } from './image.ts';
import { isRunts, runtime, World } from './world.ts';

/** Only what `ctr run` needs; everything of it in the world's own directory. */
const configuration = (path: string) => `
version = 2
root = "${path}/root"
state = "${path}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.aufs"]
[grpc]
  address = "${path}/c.sock"
[ttrpc]
  address = "${path}/c.sock.ttrpc"
`;
const image = 'test.example/busybox:test';

describe('containerd', () => {
  const test = testIf('root', 'containerd', 'busybox', 'script');
  let world: World;
  let before: ReturnType<World['inventory']>;

  const words = (args: readonly string[]) => ['ctr', '-a', join(world.path, 'c.sock'), '-n', 'test', ...args];
  const ctr = (...args: string[]) => world.run(words(args));
  const done = (...args: string[]): string => {
    const ended = ctr(...args);
    expect(ended, ended.stderr).toMatchObject({ code: 0 });
    return ended.stdout.trim();
  };
  /** The shim that Kubernetes uses too; no cpu controller here for the shares that ctr asks for by itself. */
  const ours = () => {
    const shim = [
      '--runtime',
      'io.containerd.runc.v2',
      '--runc-binary',
      runtime,
      '--runc-root',
      join(world.path, 'runc'),
    ];
    return [...shim, '--snapshotter', 'native', '--cpu-shares', '0'];
  };
  const run = (options: readonly string[], id: string, ...args: string[]) =>
    ctr('run', ...options, ...ours(), image, id, ...args);
  const status = (id: string) => new RegExp(`^${id} +\\d+ +(\\w+)`, 'm').exec(done('task', 'ls'))?.[1];
  const until = (id: string, wanted: string) => {
    for (let tries = 0; tries < 50 && status(id) !== wanted; tries += 1) world.run(['sleep', '0.1']);
    expect(status(id)).toBe(wanted);
  };
  const sleeper = (id: string, ...options: string[]) =>
    expect(run(['-d', ...options], id, 'sh', '-c', 'trap "exit 4" TERM; while :; do sleep 0.1; done')).toMatchObject({
      code: 0,
    });
  const remove = (id: string) => {
    ctr('task', 'kill', '-s', 'KILL', id);
    until(id, 'STOPPED');
    ctr('task', 'rm', id);
    done('container', 'rm', id);
  };

  beforeAll(async () => {
    if (process.getuid?.() !== 0) return;
    world = await World.open();
    const at = (name: string) => join(world.path, name);
    writeFileSync(at('config.toml'), configuration(world.path));
    writeImage(at('image.tar'));
    const start = `containerd -c ${at('config.toml')} -l warn > ${at('log')} 2>&1 &
      for i in $(seq 100); do [ -S ${at('c.sock')} ] && exit; sleep 0.1; done; exit 1`;
    expect(world.run(['sh', '-c', start])).toMatchObject({ code: 0 });
    done('image', 'import', '--base-name', 'test.example/busybox', at('image.tar'));
    expect(done('image', 'ls', '-q')).toBe(image);
    expect(run(['--rm'], 'warm', 'true')).toMatchObject({ code: 0, stderr: '' });
    before = world.inventory();
  });
  afterAll(() => world?.close());

  test('ctr run shows the output of the command and ends as it does', () => {
    expect(run(['--rm'], 'out', 'sh', '-c', 'echo out; exit 5')).toMatchObject({ code: 5, stdout: 'out\n' });
  });

  test('a command that is not there is told by name, and leaves nothing', () => {
    const missing = run(['--rm'], 'missing', '/no-such-command');
    expect(missing.code).not.toBe(0);
    expect(missing.stderr).toMatch(/OCI runtime create failed.*no-such-command.*no such file or directory/);
    expect(done('task', 'ls', '-q')).toBe('');
    ctr('container', 'rm', 'missing');
  });

  test('a task can be listed, entered, paused, resumed, measured, signalled and removed', () => {
    sleeper('task');
    until('task', 'RUNNING');
    expect(ctr('task', 'exec', '--exec-id', 'e1', 'task', 'echo', 'from exec')).toMatchObject({
      code: 0,
      stdout: 'from exec\n',
    });
    expect(ctr('task', 'exec', '--exec-id', 'e2', '--user', '1000:1000', 'task', 'sh', '-c', 'exit 9').code).toBe(9);
    expect(done('task', 'ps', 'task').split('\n').length).toBeGreaterThan(1);
    done('task', 'pause', 'task');
    until('task', 'PAUSED');
    done('task', 'resume', 'task');
    until('task', 'RUNNING');
    expect(done('task', 'metrics', 'task')).toContain('cpu.usage_usec');
    done('task', 'kill', '-s', 'TERM', 'task');
    until('task', 'STOPPED');
    done('task', 'rm', 'task');
    done('container', 'rm', 'task');
  });

  test('a terminal of the size of ours', () => {
    const inside = words(['run', '--rm', '-t', ...ours(), image, 'tty', 'sh', '-c', 'tty; sleep 0.3; stty size']);
    const ended = world.runInTerminal(inside);
    expect(ended).toMatchObject({ code: 0 });
    expect(ended.stdout).toContain('/dev/pts/0\n27 91\n');
  });

  test('options of ctr arrive: mounts, environment, capabilities, read-only root, no new privileges, seccomp', () => {
    writeFileSync(join(world.path, 'given'), 'given', { mode: 0o644 });
    const mount = `type=bind,src=${join(world.path, 'given')},dst=/srv/given,options=rbind:ro`;
    const options = ['--mount', mount, '--env', 'A=b', '--cap-drop', 'CAP_KILL', '--read-only', '--seccomp'];
    const look = 'cat /srv/given; echo; echo $A; touch /x 2>&1; grep -E "^Seccomp:|NoNew|CapEff" /proc/self/status';
    const lines = run(['--rm', ...options], 'options', 'sh', '-c', look)
      .stdout.trim()
      .split('\n');
    expect(lines.slice(0, 2)).toEqual(['given', 'b']);
    expect(lines[2]).toContain('Read-only');
    expect(lines.slice(3)).toEqual(['CapEff:\t00000000a80425db', 'NoNewPrivs:\t1', 'Seccomp:\t2']);
  });

  test('nothing stays behind: no shim, no mount, no cgroup, no state', () => {
    sleeper('last');
    remove('last');
    expect(done('container', 'ls', '-q')).toBe('');
    const after = world.inventory();
    expect(after).toEqual(before);
    if (isRunts) {
      const listed = world.run([runtime, '--root', join(world.path, 'runc', 'test'), 'list', '-q']);
      expect(listed).toMatchObject({ code: 0, stdout: '' });
    }
  });
});
