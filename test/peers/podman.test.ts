import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { testIf } from '../support/requires.ts';
import { writeImage } from './image.ts';
import { type Ended, isRunts, type RunOptions, runtime, userWithSubordinateIds, World } from './world.ts';

const user = userWithSubordinateIds();

/** No limits by default: without systemd and on a hybrid hierarchy there is no pids controller to set them with. */
const containersConf = `
[containers]
pids_limit = 0
netns = "host"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime_supports_json = ["runts.js", "runts", "runc", "crun"]
`;

for (const [who, as] of [['root', undefined] as const, ['an ordinary user', user] as const]) {
  const rootless = who !== 'root';
  if (rootless && user === undefined) continue;
  describe(`podman, as ${who}`, () => {
    const test = testIf('root', 'podman', 'busybox', 'script');
    let world: World;
    let before: ReturnType<World['inventory']>;

    /** podman with everything that it keeps in the world's own directory. */
    const podmanWords = (args: readonly string[]) => {
      const at = (name: string) => join(world.path, name);
      const places = ['--root', at('storage'), '--runroot', at('run'), '--tmpdir', at('tmp')];
      const ways = ['--storage-driver', 'vfs', '--cgroup-manager', 'cgroupfs', '--log-level', 'error'];
      return ['podman', ...places, ...ways, '--runtime', runtime, ...args];
    };
    const settings = (options: RunOptions): RunOptions => ({
      ...options,
      env: { CONTAINERS_CONF: join(world.path, 'containers.conf'), ...options.env },
    });
    const podman = (args: readonly string[], options: RunOptions = {}) =>
      world.run(podmanWords(args), settings(options));
    const inTerminal = (args: readonly string[], options: RunOptions = {}) =>
      world.runInTerminal(podmanWords(args), settings(options));
    /** podman that must succeed; what it printed. */
    const done = (...args: string[]): string => succeeded(podman(args));
    const sleeper = (name: string, ...options: string[]) =>
      done(
        'run',
        '-d',
        '--name',
        name,
        ...options,
        'test',
        'sh',
        '-c',
        'trap "exit 3" TERM; while :; do sleep 0.1; done',
      );
    const inspect = (name: string, what: string) => done('inspect', '--format', `{{${what}}}`, name);

    beforeAll(async () => {
      if (process.getuid?.() !== 0 || test.name === 'unavailable') return;
      world = await World.open(as);
      writeFileSync(join(world.path, 'containers.conf'), containersConf);
      writeImage(join(world.path, 'image.tar'));
      expect(done('load', '-i', join(world.path, 'image.tar'))).toContain('test');
      done('run', '--rm', 'test', 'true');
      before = world.inventory();
    });
    afterAll(() => world?.close());

    test('run shows the output of the command and ends as it does', () => {
      expect(podman(['run', '--rm', 'test', 'sh', '-c', 'echo out; echo err >&2; exit 42'])).toEqual({
        code: 42,
        stdout: 'out\n',
        stderr: 'err\n',
      });
      expect(podman(['run', '--rm', '-i', 'test', 'cat'], { input: 'piped' }).stdout).toBe('piped');
    });

    test('a command that is not there is 127, one that may not be executed 126', () => {
      expect(podman(['run', '--rm', 'test', 'no-such-command']).code).toBe(127);
      expect(podman(['run', '--rm', 'test', '/bin/not-executable']).code).toBe(126);
      sleeper('codes');
      expect(podman(['exec', 'codes', 'no-such-command']).code).toBe(127);
      expect(podman(['exec', 'codes', '/bin/not-executable']).code).toBe(126);
      done('rm', '-f', '-t', '0', 'codes');
    });

    test('create, start --attach and wait are the same in steps', () => {
      done('create', '--name', 'steps', 'test', 'sh', '-c', 'echo attached; exit 5');
      expect(inspect('steps', '.State.Status')).toBe('created');
      expect(podman(['start', '--attach', 'steps'])).toMatchObject({ code: 5, stdout: 'attached\n' });
      expect(done('wait', 'steps')).toBe('5');
      expect(inspect('steps', '.State.ExitCode')).toBe('5');
      done('rm', 'steps');
    });

    test('exec runs more commands, with their own user, directory and environment', () => {
      sleeper('exec');
      expect(podman(['exec', 'exec', 'sh', '-c', 'exit 9']).code).toBe(9);
      const look = ['-w', '/srv', '-e', 'A=b', '-u', 'app', 'exec', 'sh', '-c', 'pwd; echo $A; id -u; id -G'];
      expect(done('exec', ...look).split('\n')).toEqual(['/srv', 'b', '1000', '1000 2000']);
      expect(podman(['exec', '-i', 'exec', 'cat'], { input: 'piped' }).stdout).toBe('piped');
      done('exec', '-d', 'exec', 'touch', '/tmp/detached');
      done(
        'exec',
        'exec',
        'sh',
        '-c',
        'for i in 1 2 3 4 5 6 7 8 9; do [ -e /tmp/detached ] && exit; sleep 0.2; done; exit 1',
      );
      expect(done('top', 'exec', 'pid', 'args')).toMatch(/^PID +COMMAND\n1 +sh -c trap/);
      done('rm', '-f', '-t', '0', 'exec');
    });

    test('run -it and exec -it have a terminal of the size of ours', () => {
      const tty = inTerminal(['run', '--rm', '-it', 'test', 'sh', '-c', 'tty; stty size; exit 4']);
      expect(tty).toMatchObject({ code: 4, stdout: '/dev/pts/0\n27 91\n' });
      sleeper('terminal');
      const exec = inTerminal(['exec', '-it', 'terminal', 'sh', '-c', 'tty; stty size']);
      expect(exec).toMatchObject({ code: 0, stdout: '/dev/pts/0\n27 91\n' });
      done('rm', '-f', '-t', '0', 'terminal');
    });

    test('stop asks first and kills then; kill sends any signal', () => {
      sleeper('polite');
      done('stop', '-t', '10', 'polite');
      expect(inspect('polite', '.State.ExitCode')).toBe('3');
      done('run', '-d', '--name', 'deaf', 'test', 'sh', '-c', 'trap "" TERM; while :; do sleep 0.1; done');
      done('stop', '-t', '1', 'deaf');
      expect(inspect('deaf', '.State.ExitCode')).toBe('137');
      done('run', '-d', '--name', 'told', 'test', 'sh', '-c', 'trap "exit 8" USR1; while :; do sleep 0.1; done');
      done('kill', '-s', 'USR1', 'told');
      expect(done('wait', 'told')).toBe('8');
      done('rm', 'polite', 'deaf', 'told');
    });

    test('restart is a new process in the same container', () => {
      sleeper('again');
      const first = inspect('again', '.State.Pid');
      done('exec', 'again', 'touch', '/srv/stays');
      done('restart', '-t', '1', 'again');
      expect(inspect('again', '.State.Pid')).not.toBe(first);
      done('exec', 'again', 'test', '-e', '/srv/stays');
      done('rm', '-f', '-t', '0', 'again');
    });

    if (!rootless) {
      test('pause stops every process, and unpause lets them go on', () => {
        done('run', '-d', '--name', 'paused', 'test', 'sh', '-c', 'while :; do echo >> /tmp/ticks; sleep 0.05; done');
        const ticks = () => Number(done('exec', 'paused', 'sh', '-c', 'wc -l < /tmp/ticks'));
        done('pause', 'paused');
        expect(inspect('paused', '.State.Status')).toBe('paused');
        const refused = podman(['exec', 'paused', 'true']);
        expect(refused.code).not.toBe(0);
        done('unpause', 'paused');
        const then = ticks();
        done('exec', 'paused', 'sleep', '0.5');
        expect(ticks()).toBeGreaterThan(then);
        done('rm', '-f', '-t', '0', 'paused');
      });

      test('stats reads the cgroup of the container', () => {
        sleeper('counted');
        const [stats] = JSON.parse(done('stats', '--no-stream', '--format', 'json', 'counted'));
        expect(stats).toMatchObject({ name: 'counted' });
        expect(stats.cpu_percent).toMatch(/%$/);
        done('rm', '-f', '-t', '0', 'counted');
      });
    }

    test('logs keeps what was written, and to which stream', () => {
      done('run', '--name', 'logged', 'test', 'sh', '-c', 'echo one; echo two >&2');
      expect(podman(['logs', 'logged'])).toEqual({ code: 0, stdout: 'one\n', stderr: 'two\n' });
      done('rm', 'logged');
    });

    test('cp takes files in and out of a running container', () => {
      sleeper('copied');
      writeFileSync(join(world.path, 'file'), 'content', { mode: 0o644 });
      done('cp', join(world.path, 'file'), 'copied:/srv/in');
      expect(done('exec', 'copied', 'cat', '/srv/in')).toBe('content');
      done('exec', 'copied', 'sh', '-c', 'echo back > /tmp/out');
      done('cp', 'copied:/tmp/out', join(world.path, 'out'));
      expect(world.run(['cat', join(world.path, 'out')]).stdout).toBe('back\n');
      done('rm', '-f', '-t', '0', 'copied');
    });

    test('a health check is run by exec', () => {
      sleeper(
        'checked',
        '--health-cmd',
        'test -e /tmp/healthy',
        '--health-interval',
        'disable',
        '--health-retries',
        '1',
      );
      expect(podman(['healthcheck', 'run', 'checked']).code).toBe(1);
      done('exec', 'checked', 'touch', '/tmp/healthy');
      done('healthcheck', 'run', 'checked');
      expect(inspect('checked', '.State.Health.Status')).toBe('healthy');
      done('rm', '-f', '-t', '0', 'checked');
    });

    test('volumes: named ones begin with what the image has there; binds may be read-only; tmpfs has its options', () => {
      done('volume', 'create', 'data');
      expect(done('run', '--rm', '-v', 'data:/data', 'test', 'sh', '-c', 'cat /data/*; echo new > /data/new')).toBe(
        'from the image',
      );
      expect(done('run', '--rm', '-v', 'data:/mnt/deep:ro', 'test', 'cat', '/mnt/deep/new')).toBe('new');
      expect(podman(['run', '--rm', '-v', 'data:/v:ro', 'test', 'touch', '/v/x']).stderr).toContain('Read-only');
      const tmpfs = [
        '--tmpfs',
        '/t:size=1m,mode=0700,noexec',
        'test',
        'sh',
        '-c',
        'stat -c %a /t; grep " /t " /proc/mounts',
      ];
      expect(done('run', '--rm', ...tmpfs)).toMatch(/^700\ntmpfs \/t tmpfs .*noexec.*size=1024k/);
      const file = `${join(world.path, 'containers.conf')}:/etc/a-file:ro`;
      expect(done('run', '--rm', '-v', file, 'test', 'cat', '/etc/a-file')).toBe(containersConf.trim());
      done('volume', 'rm', 'data');
    });

    test('users: by name or number, with groups, and home as the image says', () => {
      const look = ['test', 'sh', '-c', 'id -u; id -g; id -G; echo $HOME'];
      expect(done('run', '--rm', '-u', 'app', ...look).split('\n')).toEqual(['1000', '1000', '1000 2000', '/home/app']);
      const groups = ['--group-add', '77', '-u', '12:34'];
      expect(done('run', '--rm', ...groups, ...look).split('\n')).toEqual(['12', '34', '34 77', '/']);
      expect(done('run', '--rm', '--umask', '0027', 'test', 'sh', '-c', 'umask')).toBe('0027');
    });

    test('capabilities are those asked for, and no more', () => {
      const effective = ['test', 'sh', '-c', 'grep -E "Cap(Eff|Bnd|Amb)" /proc/self/status'];
      const sets = (value: string) => `CapEff:\t${value}\nCapBnd:\t${value}\nCapAmb:\t${'0'.repeat(16)}`;
      expect(done('run', '--rm', '--cap-drop', 'ALL', ...effective)).toBe(sets('0000000000000000'));
      const two = ['--cap-drop', 'ALL', '--cap-add', 'NET_BIND_SERVICE', '--cap-add', 'CHOWN'];
      expect(done('run', '--rm', ...two, ...effective)).toBe(sets('0000000000000401'));
      const noNew = ['--security-opt', 'no-new-privileges', 'test', 'grep', 'NoNewPrivs', '/proc/self/status'];
      expect(done('run', '--rm', ...noNew)).toBe('NoNewPrivs:\t1');
      expect(done('run', '--rm', 'test', 'grep', 'Seccomp:', '/proc/self/status')).toBe('Seccomp:\t2');
    });

    test('a read-only container writes to its temporary places alone', () => {
      const script = 'touch /x 2>/dev/null && echo wrote; touch /tmp/x /run/x /dev/shm/x && echo temporary';
      expect(done('run', '--rm', '--read-only', 'test', 'sh', '-c', script)).toBe('temporary');
    });

    test('devices, limits of resources, host names and kernel settings of its own', () => {
      expect(
        done(
          'run',
          '--rm',
          '--ulimit',
          'nofile=77:88',
          '--ulimit',
          'nproc=500:500',
          'test',
          'sh',
          '-c',
          'ulimit -n; ulimit -Hn',
        ),
      ).toBe('77\n88');
      expect(done('run', '--rm', '--hostname', 'inner', 'test', 'hostname')).toBe('inner');
      const device = ['--device', '/dev/full:/dev/other', 'test', 'stat', '-c', '%t:%T', '/dev/other'];
      if (!rootless) expect(done('run', '--rm', ...device)).toBe('1:7');
      const sysctl = ['--sysctl', 'kernel.shmmni=77', 'test', 'cat', '/proc/sys/kernel/shmmni'];
      expect(done('run', '--rm', ...sysctl)).toBe('77');
      expect(
        done('run', '--rm', 'test', 'sh', '-c', 'echo x > /proc/sys/kernel/hostname 2>&1 || echo refused'),
      ).toMatch(/refused|Read-only/);
    });

    test('namespaces of other containers are joined', () => {
      sleeper('first', '--hostname', 'first', '--ipc', 'shareable', '--network', 'none');
      const join = [
        '--pid',
        'container:first',
        '--ipc',
        'container:first',
        '--network',
        'container:first',
        '--uts',
        'container:first',
      ];
      const look =
        'hostname; ls /proc | grep -c "^[0-9]"; for i in pid ipc net uts; do readlink /proc/self/ns/$i; done';
      const [name, processes, ...namespaces] = done('run', '--rm', ...join, 'test', 'sh', '-c', look).split('\n');
      expect(name).toBe('first');
      expect(Number(processes)).toBeGreaterThan(2);
      const own = 'for i in pid ipc net uts; do readlink /proc/self/ns/$i; done';
      expect(done('exec', 'first', 'sh', '-c', own).split('\n')).toEqual(namespaces);
      done('rm', '-f', '-t', '0', 'first');
    });

    test('the containers of a pod share what pods share', () => {
      const infra = ['--infra-image', 'test', '--infra-command', 'sleep 1000', '--share', 'ipc,uts'];
      done('pod', 'create', '--name', 'pod', '--hostname', 'in-pod', ...infra);
      sleeper('one', '--pod', 'pod');
      sleeper('two', '--pod', 'pod');
      const look = (name: string) =>
        done('exec', name, 'sh', '-c', 'hostname; readlink /proc/self/ns/ipc; readlink /proc/self/ns/uts');
      expect(look('one')).toMatch(/^in-pod\n/);
      expect(look('two')).toBe(look('one'));
      done('pod', 'rm', '-f', '-t', '0', 'pod');
    });

    if (rootless) {
      test('keep-id makes the user the same inside', () => {
        expect(done('run', '--rm', '--userns', 'keep-id', 'test', 'id', '-u')).toBe(String(as?.uid));
      });
    } else {
      test('a user namespace of its own, with maps', () => {
        const maps = ['--uidmap', '0:100000:5000', '--gidmap', '0:200000:5000'];
        const look = [
          'test',
          'sh',
          '-c',
          'cat /proc/self/uid_map /proc/self/gid_map; stat -c %u /bin/busybox; touch /srv/x',
        ];
        const [uids, gids, owner] = done('run', '--rm', ...maps, ...look)
          .split('\n')
          .map((line) => line.trim().split(/ +/));
        expect([uids, gids, owner]).toEqual([['0', '100000', '5000'], ['0', '200000', '5000'], ['0']]);
      });
    }

    test('a checkpoint is refused in words', () => {
      sleeper('kept');
      const refused = podman(['container', 'checkpoint', 'kept']);
      expect(refused.code).not.toBe(0);
      expect(inspect('kept', '.State.Status')).toBe('running');
      done('rm', '-f', '-t', '0', 'kept');
    });

    test('nothing stays behind', () => {
      expect(done('ps', '-a', '-q')).toBe('');
      const after = world.inventory();
      expect(after.mounts).toEqual(before.mounts);
      expect(after.processes).toEqual(before.processes);
      // podman's own parent of containers and pods stays.
      expect(after.cgroups.filter((path) => !path.endsWith('/libpod_parent'))).toEqual(
        before.cgroups.filter((path) => !path.endsWith('/libpod_parent')),
      );
      if (isRunts) expect(world.run([runtime, 'list', '-q'])).toMatchObject({ code: 0, stdout: '' });
    });
  });
}

function succeeded(ended: Ended): string {
  expect(ended, ended.stderr).toMatchObject({ code: 0 });
  return ended.stdout.trim();
}
