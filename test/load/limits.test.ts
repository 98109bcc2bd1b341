import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, lstatSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bin, type Ended } from '../cli/runts.ts';
import { Fixture } from '../lifetime/fixture.ts';
import { complaint, goodConfig, Place } from '../malformed/place.ts';
import { Lifecycle, smallRoot } from '../support/attack.ts';
import type { Look } from '../support/look.ts';
import { testIf } from '../support/requires.ts';

// Hosts that are short of something: what is done then works, or says what is used up and what to do; and nothing is left.

const place = new Place();
const good = goodConfig(place.rootfs);
const command = `"${process.execPath}" "${bin}" --root "${place.state}"`;
let before: Look;

beforeAll(async () => {
  place.write(good);
  before = place.look();
});
afterAll(() => place.remove());

/** A line of shell in the bundle, in which $RUNTS is the command line on our state directory. */
function shell(
  script: string,
  {
    wrap = [],
    env = process.env,
    timeoutMs = 25_000,
  }: { wrap?: string[]; env?: NodeJS.ProcessEnv; timeoutMs?: number } = {},
): Ended {
  const [file, ...args] = [...wrap, '/bin/sh', '-c', script.replaceAll('$RUNTS', command)];
  const { status, signal, stdout, stderr } = spawnSync(file!, args, {
    cwd: place.bundle,
    env,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: timeoutMs,
  });
  return { code: status, signal, stdout, stderr };
}

const worked = { code: 0, signal: null, stdout: '', stderr: '' };
/** As root of a user namespace of our own, whose limits are ours to set; or in a mount namespace to put a disk into. */
const namespace = process.getuid?.() === 0 ? ['unshare', '-m'] : ['unshare', '-Urm'];
const id = () => place.newId();

describe('descriptors', () => {
  // Node needs about twenty for itself, and some more while it loads what a command consists of.
  test.each([22, 26, 30, 34, 40, 48])('ulimit -n %i', (limit) => {
    const outcome = shell(`ulimit -n ${limit}; exec $RUNTS run ${id()}`);
    // Where it gets as far as that, the configuration asks for more than there is.
    if (outcome.code !== 0)
      expect(complaint(outcome)).toMatch(/too many open files.*ulimit -n|RLIMIT_NOFILE to 1024.*EPERM/);
    expect(place.left()).toEqual([]);
  });

  testIf('userns', 'busybox')(
    'every number of descriptors that a process may be left with',
    async () => {
      const node = new Fixture('../../load/fixtures/descriptors', [place.rootfs, place.path]);
      const { failed, ran, strange, left } = await node.says<{
        failed: number;
        ran: number;
        strange: readonly string[];
        left: readonly string[];
      }>();
      await node.ends();
      expect(strange).toEqual([]);
      expect(left).toEqual([]);
      expect(failed).toBeGreaterThan(3);
      expect(ran).toBeGreaterThan(3);
    },
    120_000,
  );
});

describe('disks', () => {
  const disk = join(place.path, 'disk');
  beforeAll(() => mkdirSync(disk));
  afterAll(() => rmdirSync(disk));
  const on = (options: string) =>
    shell(
      `mount -t tmpfs -o mode=700,${options} none ${disk} || exit 77
"${process.execPath}" "${bin}" --root ${disk} run ${id()}; code=$?; ls ${disk} >&2; exit $code`,
      { wrap: namespace },
    );

  const isTold = (options: string): void => {
    const said = complaint(on(options));
    expect(said).toMatch(/ENOSPC.*no room, or no inodes/);
    expect(said).toContain(disk);
  };
  testIf('userns').each(['size=4k', 'nr_inodes=1', 'nr_inodes=2', 'nr_inodes=3'])('a state directory of %s', isTold);
  // What is written once there is an init, which in here an ordinary user cannot give its ids.
  testIf('root').each(['size=8k', 'size=12k', 'nr_inodes=6'])('a state directory of %s', isTold);

  testIf('userns')('a state directory that is read-only', () => {
    expect(complaint(on('ro'))).toMatch(/EROFS.*--root/);
  });

  testIf('root', 'busybox')('a data directory that is full: an error each time, and what is there stays whole', () => {
    const script = `mount -t tmpfs -o mode=700,size=6m none ${disk} || exit 77
mkdir root; cp /bin/busybox root/; tar -cf small.tar -C root .; head -c 12000000 /dev/urandom > root/big; tar -cf big.tar -C root .
export XDG_DATA_HOME=${disk}
says() { "${process.execPath}" "${bin}" "$@" 2>&1 >/dev/null | sed "s/^/$1: /"; }
says import big.tar big:1
find ${disk} -size +1 -type f ! -name reserve
says import small.tar small:1
says run --image small:1 -- /busybox true
dd if=/dev/zero of=${disk}/rest bs=4k 2>/dev/null
says run --image small:1 -- /busybox true
says tag small:1 other:1
rm ${disk}/rest
says run --image small:1 -- /busybox true
"${process.execPath}" "${bin}" images --format '{{.Repository}}'
rm -r root small.tar big.tar`;
    const { stdout } = shell(script, { wrap: namespace });
    const lines = stdout.trim().split('\n');
    expect(lines.filter((line) => !line.includes('hint: '))).toEqual([
      expect.stringMatching(/^import: .*ENOSPC/),
      expect.stringMatching(/^run: .*ENOSPC/),
      expect.stringMatching(/^tag: .*ENOSPC/),
      'small',
    ]);
  });

  testIf('root')('a little more than that is enough', () => {
    expect(on('size=256k')).toMatchObject(worked);
  });
});

describe('namespaces', () => {
  const inner = structuredClone(good);
  beforeAll(() => {
    Object.assign(inner.linux, {
      namespaces: ['user', 'mount', 'pid', 'ipc', 'uts'].map((type) => ({ type })),
      uidMappings: [{ containerID: 0, hostID: 0, size: 1 }],
      gidMappings: [{ containerID: 0, hostID: 0, size: 1 }],
      resources: undefined,
    });
    inner.mounts = inner.mounts.filter(({ type }: { type: string }) => ['proc', 'tmpfs'].includes(type));
    writeFileSync(join(place.bundle, 'inner.json'), JSON.stringify(inner));
    before = place.look();
  });

  testIf('userns').each(['user', 'mnt', 'pid', 'ipc', 'uts'])('max_%s_namespaces of 0', (kind) => {
    const outcome = shell(
      `echo 0 >/proc/sys/user/max_${kind}_namespaces && exec $RUNTS run --config inner.json ${id()}`,
      {
        wrap: ['unshare', '-Ur'],
      },
    );
    const said = complaint(outcome);
    // A user namespace that cannot be made is found out before: the host is asked what it can do.
    expect(said).toMatch(/max_user_namespaces|ENOSPC/);
    expect(place.left()).toEqual([]);
  });
});

describe('processes', () => {
  const above = ['/sys/fs/cgroup/pids', '/sys/fs/cgroup'].find((path) => existsSync(join(path, 'cgroup.procs')));
  const cgroup = join(above ?? '', `runts-limits-${process.pid}`);
  const max = join(cgroup, 'pids.max');
  afterAll(() => {
    if (existsSync(cgroup)) rmdirSync(cgroup);
  });

  testIf('root')('a cgroup that takes hardly more than Node itself', () => {
    if (above === undefined) return;
    mkdirSync(cgroup);
    // Without the controller nobody can be bounded; some machine of the tests has it.
    if (!existsSync(max)) return;
    for (let most = 11; most < 20; most += 2) {
      writeFileSync(max, `${most}`);
      const outcome = shell(`echo $$ >${cgroup}/cgroup.procs && exec $RUNTS run ${id()}`);
      // Node says of its own threads what it says.
      const isNode = outcome.signal !== null || /pthread_create|Aborted|node::|libuv/.test(outcome.stderr);
      if (outcome.code !== 0 && !isNode) expect(complaint(outcome)).toMatch(/EAGAIN.*pids\.max/);
      expect(place.left()).toEqual([]);
    }
    writeFileSync(max, 'max');
    expect(shell(`echo $$ >${cgroup}/cgroup.procs && exec $RUNTS run ${id()}`)).toEqual(worked);
  });

  testIf('userns')(
    'thirty of the command line at once',
    () => {
      const all = Array.from({ length: 30 }, () => `$RUNTS run ${id()} & pids="$pids $!";`).join(' ');
      const outcome = shell(`${all} for pid in $pids; do wait $pid || echo failed; done`, { timeoutMs: 90_000 });
      expect(outcome).toEqual(worked);
      expect(place.left()).toEqual([]);
    },
    100_000,
  );
});

testIf('userns', 'busybox')('a terminal that there are no more of', async () => {
  const container = new Lifecycle();
  await container.run(smallRoot(), ['sleep', '1000'], (spec) => {
    spec.process.terminal = true;
    const devpts = spec.mounts?.find(({ type }) => type === 'devpts') as { options: string[] };
    devpts.options = [...devpts.options, 'max=1'];
  });
  await expect(container.exec({ args: ['true'], terminal: true })).rejects.toMatchObject({
    message: expect.stringContaining('ENOSPC'),
    hint: expect.stringContaining('limit on pseudo-terminals'),
  });
  expect(await container.exec({ args: ['sh', '-c', 'echo well'] })).toBe('well\n');
});

describe('surroundings', () => {
  const run = (script: string, env?: NodeJS.ProcessEnv) => shell(script, env === undefined ? {} : { env });

  test.each([
    ['a umask of 0777', 'umask 0777; exec $RUNTS run'],
    ['no standard input', 'exec $RUNTS run'],
    ['a stack of 256 KiB', 'ulimit -s 256; exec $RUNTS run'],
    ['no core files', 'ulimit -c 0; exec $RUNTS run'],
    ['memory that cannot be locked', 'ulimit -l 0; exec $RUNTS run'],
  ])('%s', (name, script) => {
    const closed = name === 'no standard input' ? ' <&-' : '';
    expect(run(`${script} ${id()}${closed}`)).toEqual(worked);
  });

  test('none of the three streams', () => {
    expect(run(`exec $RUNTS run ${id()} <&- >&- 2>&-`)).toMatchObject({ code: 0, signal: null });
  });

  test('an environment without anything', () => {
    expect(run(`exec $RUNTS run ${id()}`, {})).toEqual(worked);
  });

  test('a TMPDIR that is not there', () => {
    expect(run(`exec $RUNTS run ${id()}`, { ...process.env, TMPDIR: '/nosuch' })).toEqual(worked);
  });

  test('a current directory that is gone', () => {
    const gone = join(place.path, 'gone');
    const said = complaint(run(`mkdir ${gone}; cd ${gone}; rmdir ${gone}; exec $RUNTS run ${id()}`));
    expect(said).toContain('the current directory does not exist any more');
    expect(run(`mkdir ${gone}; cd ${gone}; rmdir ${gone}; exec $RUNTS run -b ${place.bundle} ${id()}`)).toEqual(worked);
  });

  testIf('root')('a host without /proc', () => {
    const outcome = shell(`umount -l /proc; exec $RUNTS run ${id()}`, { wrap: ['unshare', '-m'] });
    expect(complaint(outcome)).toContain('/proc');
    expect(place.left()).toEqual([]);
  });

  test('a pid file that is there and is no file stays, and so does one of somebody else', async () => {
    const fifo = join(place.path, 'fifo');
    execFileSync('mkfifo', [fifo]);
    expect(complaint(await place.here(['run', '--pid-file', fifo, id()]))).toContain('is no file');
    expect(lstatSync(fifo).isFIFO()).toBe(true);
    const file = join(place.path, 'file');
    writeFileSync(file, 'theirs');
    place.write({ ...good, process: { ...good.process, cwd: '/etc/passwd' } });
    complaint(await place.here(['run', '--pid-file', file, id()]));
    expect(readFileSync(file, 'utf8')).toBe('theirs');
    place.write(good);
    execFileSync('rm', [fifo, file]);
  });
});

test('nothing is left of all that', async () => {
  expect(existsSync(place.state)).toBe(true);
  expect(place.left()).toEqual([]);
  const { mounts, cgroups } = place.look();
  expect({ mounts, cgroups }).toEqual({ mounts: before.mounts, cgroups: before.cgroups });
});
