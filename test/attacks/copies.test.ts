// CVE-2018-15664, CVE-2019-14271, CVE-2021-41089, CVE-2026-41567 and what `docker cp` taught: files are copied into and out of
// a container that runs, and that does what it can meanwhile. RUNTS_RACE_MS makes each race longer.
import fs from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { type CommonOptions, type Container, createContainer, RuntsError } from '../../lib/index.ts';
import { type WrittenMember, written } from '../support/archives.ts';
import { asAnother, attackIf, canary, payloadMount } from '../support/attack.ts';

const raceMs = Number(process.env['RUNTS_RACE_MS'] ?? 1500);

/** Of files that anybody may write to. */
const archive = (...members: readonly WrittenMember[]) =>
  written(...members.map((member) => ({ mode: 0o666, ...member })));

const box = async (options: Partial<CommonOptions> = {}): Promise<Container> => {
  const mounts = [payloadMount(), { type: 'tmpfs', target: '/work' } as const];
  return (await createContainer({ host: true, command: ['sleep', '1000'], mounts, ...options })).start();
};

const shell = async (container: Container, script: string): Promise<string> =>
  (await container.exec(['sh', '-c', script])).stdout;

/** What is copied, or '' where it is refused: in words, and by no error that nobody thought of. */
async function copied(container: Container, path: string): Promise<string> {
  try {
    const chunks: Buffer[] = [];
    for await (const chunk of await container.copyOut(path)) chunks.push(chunk as Buffer);
    return Buffer.concat(chunks).toString('latin1');
  } catch (error) {
    mustBeExplained(error);
    return '';
  }
}

const copyInto = (container: Container, target: string, ...members: readonly WrittenMember[]): Promise<unknown> =>
  container.copyIn(archive(...members), target).catch(mustBeExplained);

function mustBeExplained(error: unknown): RuntsError {
  expect(error).toBeInstanceOf(RuntsError);
  expect((error as RuntsError).code).not.toBe('ERR_INTERNAL');
  return error as RuntsError;
}

async function repeatedly(work: () => Promise<unknown>): Promise<void> {
  const end = Date.now() + raceMs;
  for (let times = 0; times < 3 || Date.now() < end; times++) await work();
}

attackIf()(
  'directories that become links while files are copied lead no copy to the host',
  async () => {
    const host = canary();
    await using container = await box();
    // The same path inside, with other things: a link that was followed on the host would end in the canary.
    await shell(
      container,
      `mkdir -p /work/a/inner ${host.path}; echo mine > /work/a/secret; ln -s ${host.path} /work/b`,
    );
    await container.spawn(['/attack', 'exchange', '/work/a', '/work/b']);
    await repeatedly(async () => {
      await copyInto(
        container,
        '/work',
        { name: 'a/secret', text: 'overwritten' },
        { name: 'a/made', type: 'directory' },
      );
      await copyInto(
        container,
        '/work/a',
        { name: 'inner/file', text: 'made' },
        { name: 'l', type: 'symlink', target: '/' },
      );
      for (const path of ['/work', '/work/a', '/work/a/secret', '/work/b/secret']) {
        expect(await copied(container, path)).not.toContain('secret of the host');
      }
    });
    expect(host.changes()).toEqual([]);
  },
  raceMs + 60_000,
);

if (asAnother.length > 0) {
  attackIf()(
    'a link that is put in the place of what was copied changes no file of another user',
    async () => {
      await using container = await box();
      await shell(
        container,
        'mkdir /work/theirs; chown 5 /work/theirs; echo secret > /work/victim; chmod 600 /work/victim',
      );
      const command = ['/attack', 'plant', '/work/theirs/x', '/work/victim'];
      const attacker = await container.spawn(command, { user: '5' });
      await new Promise((resolve) => attacker.stdout?.once('data', resolve));
      const fifos = Array.from(
        { length: 200 },
        () => ({ name: 'x', type: 'fifo', mode: 0o4777, uid: 5, gid: 5 }) as const,
      );
      await repeatedly(() => copyInto(container, '/work/theirs', ...fifos));
      expect(await shell(container, 'stat -c "%a %u:%g" /work/victim')).toBe('600 0:0\n');
    },
    raceMs + 60_000,
  );
}

attackIf()('what is no file, at every place of a copy, keeps nobody waiting', async () => {
  await using container = await box();
  await shell(container, 'cd /work; mkfifo fifo; mkdir d; mkfifo d/fifo; ln -s fifo link; ln -s loop loop');
  const one = { name: 'x', text: '1' };
  for (const target of ['/work/fifo', '/work/link', '/work/loop', '/work/d/fifo', '/dev/null', '/proc/1/fd/0']) {
    expect(await copyInto(container, target, one)).toBeInstanceOf(RuntsError);
  }
  for (const name of ['fifo/x', 'link/x', 'loop/x']) {
    expect(await copyInto(container, '/work', { name, text: '1' })).toBeInstanceOf(RuntsError);
  }
  for (const path of ['/work', '/work/fifo', '/work/link', '/work/loop', '/dev', '/proc/1/fd', '/proc/kmsg']) {
    await copied(container, path);
  }
  await container.copyIn(archive({ name: 'fifo', text: 'replaced' }, { name: 'link', text: 'replaced' }), '/work');
  expect(await shell(container, 'cat /work/fifo /work/link; ls /work/d')).toBe('replacedreplacedfifo\n');
});

attackIf()('an archive writes below its target alone, whatever names it has', async () => {
  const host = canary();
  await using container = await box();
  await shell(container, `mkdir -p /work/target /work/other ${host.path}`);
  const secret = join(host.path, 'secret');
  const archives: readonly (readonly WrittenMember[])[] = [
    [{ name: '../climbed', text: '1' }],
    [{ name: 'a/../../climbed', text: '1' }],
    [{ name: 'a/b/../../../climbed', type: 'directory' }],
    [{ name: 'l', type: 'link', target: '../other' }],
    [{ name: 'l', type: 'link', target: '../../../../../../etc/passwd' }],
    [{ name: '..', type: 'symlink', target: '/' }],
    [{ name: '.', type: 'symlink', target: '/' }],
    [{ name: 'null', type: 'character', major: 1, minor: 3 }],
    [{ name: 'disk', type: 'block', major: 8, minor: 0 }],
  ];
  for (const members of archives) {
    expect({ members, refused: (await copyInto(container, '/work/target', ...members)) instanceof RuntsError }).toEqual(
      {
        members,
        refused: true,
      },
    );
  }
  // Absolute names are names below the target, and links that it brings lead where the container would go.
  await copyInto(container, '/work/target', { name: secret, text: 'overwritten' });
  await copyInto(
    container,
    '/work/target',
    { name: 'out', type: 'symlink', target: host.path },
    { name: 'out/secret', text: 'x' },
  );
  expect(host.changes()).toEqual([]);
  expect(fs.readFileSync(secret, 'utf8')).toContain('secret of the host');
  expect(await shell(container, 'ls /work; ls /work/other')).toBe('other\ntarget\n');
});

attackIf()('a container whose root is another one by now has its own files copied, and no others', async () => {
  const host = canary();
  await using container = await box({ capabilities: { add: ['CAP_SYS_ADMIN'] }, seccomp: 'unconfined' });
  const swap = `mkdir -p ${host.path}; mkdir /work/old /work/canary; echo new > /work/canary/secret; cd /work; pivot_root . old`;
  await shell(container, `${swap}; mkdir -p /old/work/x; true`);
  await copyInto(container, '/canary', { name: 'made', text: 'made' });
  const own = await copied(container, '/canary');
  expect([own.includes('new\n'), own.includes('made')]).toEqual([true, true]);
  await copyInto(container, `/old${host.path}`, { name: 'secret', text: 'overwritten' });
  await copyInto(container, host.path, { name: 'secret', text: 'overwritten' });
  for (const path of [`/old${host.path}`, host.path, '/'])
    expect(await copied(container, path)).not.toContain('secret of the host');
  expect(host.changes()).toEqual([]);
});

attackIf()('a file that says it is endless is given as far as it is wanted', async () => {
  await using container = await box();
  await shell(container, 'truncate -s 4E /work/endless || truncate -s 8T /work/endless');
  const tar = await container.copyOut('/work/endless');
  for await (const chunk of tar) if ((chunk as Buffer).length > 0) break;
  expect(tar.destroyed).toBe(true);
  expect(await shell(container, 'echo alive')).toBe('alive\n');
});
