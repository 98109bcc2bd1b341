import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished } from 'vitest';
import { createContainer, createRuntime } from '../../lib/index.ts';
import { inside } from '../container/inside.ts';
import { Fixture } from '../lifetime/fixture.ts';
import { expectUnchanged, look } from '../support/look.ts';
import { testIf } from '../support/requires.ts';
import { temporaryDirectory } from '../support/unpacked.ts';
import { serversOf, statusOf, until } from './servers.ts';

const test = testIf('userns', '/dev/fuse');
const view = { host: true, systemView: 'limits' } as const;
const sleeping = { ...view, command: ['sleep', '1000'] };
const theServer = () => {
  const servers = serversOf(process.pid);
  expect(servers).toHaveLength(1);
  return servers[0]!;
};

test('the server has no capabilities, no way to get any, a filter, and hardly any memory', async () => {
  await using container = await createContainer(sleeping);
  await container.start();
  await container.exec(['sh', '-c', 'cat /proc/cpuinfo /proc/meminfo /proc/stat /proc/diskstats']);
  const server = theServer();
  expect(server).toMatchObject({ CapEff: '0000000000000000', CapPrm: '0000000000000000', NoNewPrivs: '1' });
  expect(Number(server['RssAnon']?.split(' ')[0])).toBeLessThan(100);
});

test('it ends with the container, and nothing of it is left', async () => {
  const once = async (): Promise<void> => {
    const container = await createContainer(sleeping);
    await container.start();
    const { Pid } = theServer();
    await container.remove({ force: true });
    expect(statusOf(Pid!)).toBe('');
  };
  // With the second container comes the zygote of its ids, where there is one, which stays.
  for (const _ of [1, 2]) await once();
  const before = look();
  await once();
  await expectUnchanged(before);
});

test('it ends by itself when the container’s processes have, though nobody has removed it yet', async () => {
  await using container = await createContainer({ ...view, command: ['true'] });
  await container.start();
  await container.wait();
  await until('the end of the server', () => serversOf(process.pid).every(({ State }) => State?.startsWith('Z')));
});

/** Whoever has to reap it may take its time. */
function hasEnded(pid: string): boolean {
  const status = statusOf(pid);
  return status === '' || /^State:\s*Z/m.test(status);
}

// A Node that has to compile all of lib first takes its time.
const slowly = 120_000;

test('it ends when its owner is killed', { timeout: slowly }, async () => {
  const fixture = new Fixture('../../view/fixtures/owner');
  await fixture.says();
  const [server] = serversOf(fixture.process.pid!);
  expect(server).toBeDefined();
  fixture.process.kill('SIGKILL');
  await until('the end of the server', () => hasEnded(server!['Pid']!));
});

test('that of a detached container outlives its maker, and ends with the container', { timeout: slowly }, async () => {
  const directory = await temporaryDirectory();
  const [root, state] = [join(directory, 'root'), join(directory, 'state')];
  const wanted = [{ name: 'seen', systemView: 'limits', command: ['sleep', '1000'] }];
  const maker = new Fixture('detached', [root, state, JSON.stringify(wanted)]);
  await maker.says();
  const [server] = serversOf(maker.process.pid!);
  maker.process.kill('SIGKILL');
  await maker.ended;

  await using runtime = createRuntime({ root, state });
  const container = await runtime.container('seen');
  onTestFinished(() => container.remove({ force: true }));
  const uptime = async () => Number((await container.exec(['cut', '-d.', '-f1', '/proc/uptime'])).stdout);
  const machine = () => Number(readFileSync('/proc/uptime', 'utf8').split('.')[0]);
  expect(await uptime()).toBeLessThan(Math.min(60, machine()));
  await container.stop({ grace: 0 });
  await until('the end of the server', () => hasEnded(server!['Pid']!));

  // At the next start there is another one, and the container's time begins anew.
  await container.start();
  expect(await uptime()).toBeLessThan(Math.min(60, machine()));
  theServer();
  await container.remove({ force: true });
  await until('the end of the other server', () => serversOf(process.pid).length === 0);
});

test('a server that was killed takes its files with it, and nothing else', async () => {
  const before = look();
  {
    await using container = await createContainer(sleeping);
    await container.start();
    process.kill(Number(theServer()['Pid']), 'SIGKILL');
    await until('the end of the view', async () => {
      const { stderr } = await container.exec(['cat', '/proc/uptime'], { reject: false });
      return stderr.includes('Transport endpoint is not connected');
    });
    expect((await container.exec(['cat', '/proc/version'])).stdout).toBe(readFileSync('/proc/version', 'utf8'));
  }
  await expectUnchanged(before);
});

test('an op that fails on the way leaves no server', async () => {
  const before = look();
  const broken = {
    ...view,
    command: ['true'],
    mounts: [{ type: 'bind', source: '/proc/none', target: '/x' }],
  } as const;
  await expect(createContainer(broken)).rejects.toMatchObject({ code: 'ERR_SETUP' });
  await expectUnchanged(before);
});

const hostile = `
  use Fcntl; use POSIX ();
  my @files = (map("/proc/$_", qw(cpuinfo meminfo stat uptime loadavg swaps diskstats)), '/sys/devices/system/cpu/online');
  my ($pread, $ioctl) = @ARGV;
  for my $name (@files) {
    for my $flags (O_WRONLY, O_RDWR, O_RDWR|O_TRUNC, O_RDONLY|O_CREAT|O_EXCL, O_WRONLY|O_APPEND) { sysopen(my $f, $name, $flags) and die "$name opens for $flags"; }
    sysopen(my $f, $name, O_RDONLY) or die "$name: $!";
    my $b = "\\0" x 64;
    for my $offset (0x7fffffffffffffff, 0x7ffffffffffff000, 1 << 40, 1 << 20, 100000) {
      my $n = syscall($pread, fileno($f), $b, 64, $offset); die "$name has $n at $offset" if $n > 0;
    }
    for my $size (1, 4096, 131072, 1 << 22) { seek $f, 0, 0; defined sysread($f, my $text, $size) or die "$name by $size: $!"; }
    my $arg = "\\0" x 4096; ioctl($f, $_, $arg) and die "ioctl $_" for (0, 1, 0x5401, 0x7fffffff);
    truncate $name, 5; utime 1, 1, $name; chmod 0777, $name; unlink $name; rename $name, '/proc/x'; mkdir "$name/x"; readlink $name;
  }
  my @held; for my $i (0 .. 499) { open my $f, '<', $files[$i % @files] or die $!; sysread $f, my $c, 3; push @held, $f; }
  for my $f (reverse @held) { defined sysread $f, my $c, 5 or die "a held file: $!"; }
  my @kids; for my $i (1 .. 8) { my $pid = fork // die; if (!$pid) { while (1) { open my $f, '<', $files[rand @files]; read $f, my $c, 1 + rand 5000; } } push @kids, $pid; }
  for (1 .. 50) { open my $f, '<', '/proc/meminfo' or die $!; my @l = <$f>; die 'short' if @l < 20; }
  kill 9, @kids; waitpid $_, 0 for @kids;
  open my $f, '<', '/proc/uptime' or die $!; print <$f>;
`;

test('whatever a container does with the files, the server answers and goes on', async () => {
  const numbers = process.arch === 'x64' ? '17 16' : '67 29';
  const said = await inside(`perl -e "$SCRIPT" ${numbers}`, { ...view, env: { SCRIPT: hostile } });
  expect(said).toMatch(/^\d+\.\d\d \d+\.\d\d\n$/);
});

test('a container that stops reading in the middle keeps nobody from reading', async () => {
  await using one = await createContainer(sleeping);
  await using other = await createContainer(sleeping);
  await Promise.all([one.start(), other.start()]);
  const [first] = serversOf(process.pid);
  process.kill(Number(first!['Pid']), 'SIGSTOP');
  try {
    const reads = await Promise.allSettled(
      [one, other].map((container) => container.exec(['cat', '/proc/uptime'], { timeout: 2000 })),
    );
    expect(reads.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
  } finally {
    process.kill(Number(first!['Pid']), 'SIGCONT');
  }
});
