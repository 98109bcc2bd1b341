// CVE-2016-9962, CVE-2019-5736, CVE-2024-21626, CVE-2026-30892: a command that joins a container is, for a moment, a process
// of the host among those that it should be kept from.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished } from 'vitest';
import type { Host } from '../../lib/host/host.ts';
import { RuntsError } from '../../lib/index.ts';
import { createHost } from '../../lib/node/host.ts';
import { eventually } from '../oci/oci.ts';
import {
  attackIf,
  attempted,
  type BundleSpec,
  canary,
  isRoot,
  Lifecycle,
  outcomeOf,
  payload,
  smallRoot,
  userNamespaces,
  withoutUserns,
} from '../support/attack.ts';
import { can } from '../support/requires.ts';

const inner = attackIf('busybox');

/** A root file system with the hostile program in it. */
function armedRoot(): string {
  const root = smallRoot();
  fs.copyFileSync(payload(), join(root, 'bin/attack'));
  return root;
}

const allow =
  (...names: string[]) =>
  ({ process: { capabilities: sets = {} } }: BundleSpec) => {
    for (const set of ['bounding', 'effective', 'permitted'] as const) sets[set] = [...(sets[set] ?? []), ...names];
  };

// ---- attaching ---------------------------------------------------------------------------------------------------------

const tracing = (edit: (spec: BundleSpec) => void) => (spec: BundleSpec) => {
  edit(spec);
  allow('CAP_SYS_PTRACE')(spec);
};

/** What an attack wins of commands that join its container. */
async function joined(edit: (spec: BundleSpec) => void, ...args: string[]): Promise<readonly string[]> {
  const container = new Lifecycle();
  const { shown, ended } = await container.run(armedRoot(), ['attack', 'watch', '/tmp/stop', ...args], edit);
  await eventually(() => shown().includes('watching'), 'the attack to begin');
  // Each is there for a millisecond, and then is a command of the container like any other.
  await eventually(async () => {
    await container.exec({ args: ['true'] });
    return outcomeOf(shown()).control.filter((line) => line === 'saw').length >= 3;
  }, 'the attack to see some');
  await container.exec({ args: ['sh', '-c', '> /tmp/stop'] });
  return outcomeOf(await ended()).won;
}

for (const [how, edit] of userNamespaces) {
  inner(`root of a container cannot look into what joins it, nor trace it: ${how}`, async () => {
    expect(await joined(edit)).toEqual([]);
  });

  inner(`what joins a container leads nobody in it to the host, who may trace it neither: ${how}`, async () => {
    expect(await joined(tracing(edit), join(canary().path, 'secret'))).toEqual([]);
  });
}

// Without a user namespace, CAP_SYS_PTRACE is over every process that it sees: what it sees must have nothing to take.
for (const noNewPrivileges of [true, false]) {
  const how = noNewPrivileges ? 'with no_new_privs' : 'without no_new_privs';
  attackIf('root', 'busybox')(`what joins a container has no rights but those of the container: ${how}`, async () => {
    const edit = (spec: BundleSpec) => {
      withoutUserns(spec);
      spec.process.noNewPrivileges = noNewPrivileges;
    };
    expect(await joined(tracing(edit), 'rights')).toEqual([]);
  });
}

// Who may trace every process of a user namespace has no right over one that comes from outside of it.
inner('nor can who may trace every process of its user namespace', async () => {
  expect(await joined(tracing(() => {}))).toEqual([]);
});

for (const [how, edit] of userNamespaces) {
  inner(
    `a container that is made in the PID namespace of another cannot be looked into, nor traced, from there: ${how}`,
    async () => {
      const first = new Lifecycle();
      const { shown, ended } = await first.run(armedRoot(), ['attack', 'watch', '/tmp/stop'], edit);
      await eventually(() => shown().includes('watching'), 'the attack to begin');
      const path = `/proc/${first.pid}/ns/pid`;
      await eventually(async () => {
        const other = new Lifecycle('guest');
        await other.create(armedRoot(), ['true'], (spec) => {
          edit(spec);
          const { linux } = spec;
          linux.namespaces = linux.namespaces.map((each) => (each.type === 'pid' ? { ...each, path } : each));
          // They share what owns the PID namespace, or root of one would be nobody in the other.
          if (how === 'in a user namespace') {
            const user = `/proc/${first.pid}/ns/user`;
            linux.namespaces = linux.namespaces.map((each) => (each.type === 'user' ? { ...each, path: user } : each));
            delete linux.uidMappings;
            delete linux.gidMappings;
            // Of an ordinary user without subordinate ids it has no group of terminals.
            for (const mount of spec.mounts ?? [])
              mount.options = mount.options?.filter((option) => option !== 'gid=5') ?? [];
          }
        });
        await other.delete();
        return outcomeOf(shown()).control.filter((line) => line === 'saw').length >= 3;
      }, 'the attack to see some');
      await first.exec({ args: ['sh', '-c', '> /tmp/stop'] });
      expect(outcomeOf(await ended()).won).toEqual([]);
    },
  );
}

// ---- descriptors and directories ---------------------------------------------------------------------------------------

for (const [how, edit] of userNamespaces) {
  inner(`a command that joins has three descriptors, and no directory of the host in any of them: ${how}`, async () => {
    const container = new Lifecycle();
    await container.run(armedRoot(), ['sleep', '1000'], edit);
    expect(outcomeOf(await container.exec({ args: ['attack', 'descriptors'] })).won).toEqual([]);
    for (let fd = 0; fd < 14; fd++) {
      for (const cwd of [`/proc/self/fd/${fd}`, `/dev/fd/${fd}/../../../..`]) {
        const { output, refused } = await attempted(() => container.exec({ args: ['ls'], cwd }));
        expect({ cwd, output, refused }).toEqual({
          cwd,
          output: '',
          refused: expect.stringMatching(/ERR_(SETUP|EXEC)/),
        });
      }
    }
  });

  inner(`nor is one of them a way to a program: ${how}`, async () => {
    const container = new Lifecycle();
    await container.run(armedRoot(), ['sleep', '1000'], edit);
    const programs = ['/proc/self/exe', '/proc/1/exe', '/proc/self/root/bin/id', '/proc/thread-self/exe'];
    for (let fd = 0; fd < 12; fd++) programs.push(`/proc/self/fd/${fd}/bin/id`);
    for (const program of programs) {
      const { output, refused } = await attempted(() => container.exec({ args: [program] }));
      expect({ program, output, refused }).toEqual({ program, output: '', refused: 'ERR_EXEC' });
    }
  });

  inner(`nor is a magic link a way to the command of a container: ${how}`, async () => {
    const links = ['self/exe', '1/exe', 'thread-self/exe', 'self/root/bin/id', 'self/cwd/bin/id', 'self/fd/3/bin/id'];
    for (const program of links.map((link) => `/proc/${link}`)) {
      const container = new Lifecycle();
      const { output, refused } = await attempted(async () => {
        const { ended } = await container.run(armedRoot(), [program], edit);
        return `ran ${await ended()}`;
      });
      expect({ program, output, refused }).toEqual({ program, output: '', refused: 'ERR_EXEC' });
    }
  });
}

inner('a working directory that becomes a link meanwhile leads to nothing of the host', async () => {
  const container = new Lifecycle();
  const root = armedRoot();
  const volume = join(root, 'tmp');
  fs.mkdirSync(join(volume, 'a'), { mode: 0o777 });
  fs.symlinkSync('/proc/self/fd/3', join(volume, 'b'));
  const racers = [3, 4, 5, 6, 7, 8].map((fd) => {
    fs.mkdirSync(join(volume, `a${fd}`));
    fs.symlinkSync(`/proc/self/fd/${fd}`, join(volume, `b${fd}`));
    return fd;
  });
  const script = racers.map((fd) => `attack exchange /tmp/a${fd} /tmp/b${fd} < /tmp/fifo &`).join(' ');
  const { ended } = await container.run(root, [
    'sh',
    '-c',
    `mkfifo /tmp/fifo; sleep 1000 > /tmp/fifo & ${script} wait`,
  ]);
  const inside = fs.readdirSync(root).sort();
  for (const fd of racers.flatMap((fd) => [fd, fd, fd])) {
    const cwd = `/tmp/a${fd}`;
    const { output } = await attempted(() => container.exec({ args: ['ls', '/proc/self/cwd/../../../../..'], cwd }));
    expect(output === '' ? inside : output.trim().split('\n')).toEqual(inside);
  }
  await container.delete();
  await ended();
});

// ---- privileges --------------------------------------------------------------------------------------------------------

for (const [how, edit] of userNamespaces) {
  inner(`what confines a container confines what joins it: ${how}`, async () => {
    const container = new Lifecycle();
    const filter = {
      defaultAction: 'SCMP_ACT_ALLOW',
      architectures: ['SCMP_ARCH_X86_64'],
      syscalls: [{ names: ['mkdir', 'mkdirat'], action: 'SCMP_ACT_ERRNO' }],
    };
    await container.run(armedRoot(), ['sleep', '1000'], (spec) => {
      edit(spec);
      spec.linux.seccomp = filter as never;
    });
    const { capabilities } = (
      JSON.parse(fs.readFileSync(join(container.root, container.id, 'config.json'), 'utf8')) as BundleSpec
    ).process;
    const doors = outcomeOf(await container.exec({ args: ['attack', 'doors'], capabilities }));
    expect(doors).toMatchObject({ won: [], control: ['denied', 'denied'] });
    expect(outcomeOf(await container.exec({ args: ['attack', 'privileges'], capabilities })).won).toEqual([]);
    // Nothing that was not asked for: no capability at all, and no group of ours.
    const status = await container.exec({ args: ['cat', '/proc/self/status'], user: { uid: 0, gid: 0 } });
    // With a single id nobody may set groups, and those of whoever calls stay.
    if (isRoot || can('subuids') === true) expect(status).toMatch(/^Groups:\s*$/m);
    for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb']) {
      expect(status).toMatch(new RegExp(`^${set}:\\s*0{16}$`, 'm'));
    }
  });
}

// ---- numbers that are given out again ----------------------------------------------------------------------------------

attackIf('root', 'busybox')('a process that has got the number of the container meanwhile is not joined', async () => {
  const host = createHost();
  let armed = false;
  let pid = 0;
  const container = new Lifecycle('recycled', {
    ...host,
    files: {
      ...host.files,
      async open(path, how) {
        // Between the look at the process and the opening of its namespaces: it ends, and the host gives its number out.
        if (armed && path.startsWith(`/proc/${pid}/ns/`)) {
          armed = false;
          process.kill(pid, 'SIGKILL');
          await recycled(pid);
        }
        return host.files.open(path, how);
      },
    },
  } satisfies Host);
  const { ended } = await container.run(armedRoot(), ['sleep', '1000']);
  pid = container.pid;
  armed = true;
  const secret = canary();
  const attempt = container.exec({ args: ['/bin/cat', join(secret.path, 'secret')] });
  await expect(attempt).rejects.toMatchObject({ code: 'ERR_STATE', message: expect.stringContaining('not running') });
  expect(armed).toBe(false);
  await ended();
});

/** A process of the host that has a number which was another's. */
async function recycled(pid: number): Promise<void> {
  const child = spawn(payload(), ['as-pid', `${pid}`, '/bin/sleep', '1000'], { stdio: ['pipe', 'pipe', 'inherit'] });
  onTestFinished(async () => {
    child.stdin.end();
    await once(child, 'exit');
  });
  await once(child.stdout, 'data');
}

// ---- the state of somebody else ----------------------------------------------------------------------------------------

const operations = ['exec', 'kill', 'state', 'pause', 'start'] as const;

for (const operation of operations) {
  inner(`${operation} does not go by a state that somebody else could have written`, async () => {
    const container = new Lifecycle();
    await container.run(armedRoot(), ['sleep', '1000']);
    const directory = join(container.root, container.id);
    if (isRoot) fs.chownSync(directory, 12345, 12345);
    else fs.chmodSync(directory, 0o777);
    try {
      const attempt = container[operation]({ args: ['true'] });
      await expect(attempt).rejects.toBeInstanceOf(RuntsError);
      await expect(attempt).rejects.toMatchObject({ message: expect.stringContaining("another user's") });
    } finally {
      if (isRoot) fs.chownSync(directory, 0, 0);
      else fs.chmodSync(directory, 0o700);
    }
  });
}
