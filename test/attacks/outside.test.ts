// What a container may see of the host: no file that it was not given, no socket, no memory, no account.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import { expect, onTestFinished } from 'vitest';
import { createContainer, run } from '../../lib/index.ts';
import { asAnother, attack, attackIf, canary, isRoot, payload, smallRoot } from '../support/attack.ts';
import { testIf } from '../support/requires.ts';

const inner = attackIf();
const userns = testIf('userns');
const everybody = [{}, ...(isRoot ? [{ userns: 'host' }] : [])];

for (const options of everybody) {
  inner(`no path leads to the host's files, after a chroot(2) either: ${JSON.stringify(options)}`, async () => {
    const host = canary();
    const paths = [`${host.path}/secret`, process.cwd()];
    const { won, control } = await attack(options, 'outside', ...paths);
    expect(won).toEqual([]);
    expect(control).toEqual(['chroot']);
  });
}

attackIf('busybox')('nor from a root file system of its own', async () => {
  const host = canary();
  expect(await attack({ rootfs: smallRoot() }, 'outside', `${host.path}/secret`)).toMatchObject({
    won: [],
    control: ['chroot'],
  });
});

inner('sockets, shared memory and message queues of the host are out of reach', async () => {
  const name = `runts-attack-${process.pid}`;
  const host = spawn(payload(), ['listen', name], { stdio: ['pipe', 'pipe', 'inherit'] });
  onTestFinished(async () => {
    host.stdin.end();
    await once(host, 'exit');
  });
  await once(host.stdout, 'data');
  expect(await attack({}, 'reach', name)).toMatchObject({ won: [], exitCode: 0 });
  expect((await attack({ network: 'host' }, 'reach', name)).won).toEqual(['connect abstract socket']);
});

userns('what only root of the host may read stays unread', async () => {
  const script =
    'cat /etc/shadow /etc/gshadow /etc/sudoers /etc/ssh/ssh_host_*_key /etc/ssl/private/* 2>/dev/null; ls -A /root /home /var /run';
  const { stdout } = await run({ host: true, command: ['sh', '-c', script], reject: false });
  expect(stdout.replaceAll(/\s+/g, ' ').trim()).toBe('/home: /root: /run: /var: tmp');
});

userns("root inside is nobody's root outside", async () => {
  // As the host sees it: inside they are told in ids of the user namespace above, which may be a zygote's.
  await using container = await createContainer({ host: true, command: ['sleep', '1000'] });
  const outside = ['uid_map', 'gid_map'].flatMap((file) =>
    fs
      .readFileSync(`/proc/${container.pid}/${file}`, 'utf8')
      .trim()
      .split('\n')
      .map((line) => line.trim().split(/\s+/).map(Number)),
  );
  for (const [, host, size] of outside) {
    expect(host).toBeGreaterThan(0);
    expect(host! + size!).toBeLessThanOrEqual(0xffffffff);
  }
});

for (const options of [{}, ...asAnother, ...asAnother.map((o) => ({ ...o, capabilities: { add: ['ALL'] } }))]) {
  inner(
    `an ordinary user of a container has no capability, and root none that is inherited: ${JSON.stringify(options)}`,
    async () => {
      expect(await attack(options, 'privileges')).toMatchObject({ won: [], exitCode: 0 });
    },
  );
}

attackIf('subuids')('a set-user-id program gives an ordinary user nothing', async () => {
  await setUserId();
});
attackIf('root')('a set-user-id program gives an ordinary user nothing, in the container of root', async () => {
  await setUserId();
});

async function setUserId(): Promise<void> {
  const script =
    'cp /attack /tmp/root && chmod 4755 /tmp/root && exec setpriv --reuid 5 --clear-groups /tmp/root privileges';
  const mounts = [{ type: 'bind', source: payload(), target: '/attack' }] as const;
  const { stdout } = await run({ host: true, mounts, command: ['sh', '-c', script] });
  expect(stdout).toBe('euid 5\n');
}

userns('a host file given read-only stays as it is', async () => {
  const host = canary();
  const mounts = [{ type: 'bind', source: host.path, target: '/given', readonly: true }] as const;
  const script =
    'echo x > /given/secret; echo x > /given/new; chmod 700 /given/inner; mount -o remount,rw /given; rm -rf /given/*';
  await run({ host: true, mounts, command: ['sh', '-c', script], reject: false });
  expect(host.changes()).toEqual([]);
  expect(fs.existsSync(`${host.path}/secret`)).toBe(true);
});
