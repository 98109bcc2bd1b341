import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { testIf } from '../support/requires.ts';
import { writeImage } from './image.ts';
import { isRunts, type RunOptions, runtime, userWithSubordinateIds, World } from './world.ts';

const user = userWithSubordinateIds();
const containersConf = '[containers]\npids_limit = 0\nnetns = "host"\n';

for (const [who, as] of [['root', undefined] as const, ['an ordinary user', user] as const]) {
  if (who !== 'root' && user === undefined) continue;
  describe(`buildah, as ${who}`, () => {
    const test = testIf('root', 'buildah', 'busybox', 'script');
    let world: World;
    let before: ReturnType<World['inventory']>;
    let container: string;

    const words = (args: readonly string[]) => {
      const places = ['--root', join(world.path, 'storage'), '--runroot', join(world.path, 'run')];
      return ['buildah', ...places, '--storage-driver', 'vfs', '--cgroup-manager', 'cgroupfs', ...args];
    };
    const env = () => ({ CONTAINERS_CONF: join(world.path, 'containers.conf') });
    const buildah = (args: readonly string[], options: RunOptions = {}) =>
      world.run(words(args), { ...options, env: env() });
    const done = (...args: string[]): string => {
      const ended = buildah(args);
      expect(ended, ended.stderr).toMatchObject({ code: 0 });
      return ended.stdout.trim();
    };
    const ours = ['run', '--runtime', runtime, '--isolation', 'oci'];

    beforeAll(async () => {
      if (process.getuid?.() !== 0) return;
      world = await World.open(as);
      writeFileSync(join(world.path, 'containers.conf'), containersConf);
      writeImage(join(world.path, 'image.tar'));
      container = done('from', `oci-archive:${join(world.path, 'image.tar')}`);
      done(...ours, container, '--', 'true');
      before = world.inventory();
    });
    afterAll(() => world?.close());

    test('run changes the working container, shows the output and ends as the command does', () => {
      expect(done(...ours, container, '--', 'sh', '-c', 'echo made > /made; echo done')).toBe('done');
      expect(done(...ours, container, '--', 'cat', '/made')).toBe('made');
      expect(buildah([...ours, container, '--', 'sh', '-c', 'exit 6']).code).toBe(6);
      const missing = buildah([...ours, container, '--', 'no-such-command']);
      expect(missing.code).not.toBe(0);
      expect(missing.stderr).toContain('no-such-command');
    });

    test('run with a user, a volume, capabilities and a host name', () => {
      writeFileSync(join(world.path, 'given'), 'from the host', { mode: 0o644 });
      const options = ['--user', 'app', '-v', `${join(world.path, 'given')}:/given:ro`, '--hostname', 'builder'];
      const look = 'id -u; cat /given; echo; hostname; grep CapEff /proc/self/status; touch /given 2>&1';
      const lines = buildah([...ours, ...options, '--cap-drop', 'all', container, '--', 'sh', '-c', look]).stdout.split(
        '\n',
      );
      expect(lines.slice(0, 4)).toEqual(['1000', 'from the host', 'builder', 'CapEff:\t0000000000000000']);
      expect(lines[4]).toContain('Read-only');
    });

    test('run in a terminal has one', () => {
      const inside = words([...ours, '-t', container, '--', 'sh', '-c', 'tty; exit 3']);
      const ended = world.runInTerminal(inside, { env: env() });
      expect(ended.stdout).toContain('/dev/pts/0');
      expect(ended.code).toBe(3);
    });

    test('a file of instructions is built by it', () => {
      writeFileSync(
        join(world.path, 'Containerfile'),
        `FROM oci-archive:${join(world.path, 'image.tar')}\nRUN echo built > /built && id -u >> /built\nUSER app\nRUN id -u > /tmp/who\n`,
      );
      done(
        'bud',
        '--runtime',
        runtime,
        '--isolation',
        'oci',
        '-f',
        join(world.path, 'Containerfile'),
        '-t',
        'built',
        world.path,
      );
      const built = done('from', 'built');
      expect(done(...ours, built, '--', 'sh', '-c', 'cat /built /tmp/who').split('\n')).toEqual(['built', '0', '1000']);
      done('rm', built);
    });

    test('nothing stays behind', () => {
      const after = world.inventory();
      expect({ ...after, cgroups: [] }).toEqual({ ...before, cgroups: [] });
      expect(after.cgroups.filter((path) => path.includes('buildah'))).toEqual([]);
      if (isRunts) expect(world.run([runtime, 'list', '-q'])).toMatchObject({ code: 0, stdout: '' });
    });
  });
}
