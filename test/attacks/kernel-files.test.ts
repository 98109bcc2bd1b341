// CVE-2025-31133, CVE-2025-52881, CVE-2023-25809, CVE-2016-8867: files and devices that reach the whole machine.
import fs from 'node:fs';
import { expect } from 'vitest';
import { asAnother, attack, attackIf, isRoot } from '../support/attack.ts';

const inner = attackIf();

/** Anybody may be told of pressure: a file of one's own is made by writing to it. */
const harmless = ['open /proc/pressure/io', 'open /proc/pressure/cpu', 'open /proc/pressure/memory'];

const writableDirectories = ['/', '/tmp', '/var/tmp', '/usr', '/etc', '/dev', '/dev/shm', '/dev/pts', '/proc', '/sys'];

// Without a user namespace, only the mounts keep root from these.
for (const options of [{}, ...asAnother, { network: 'host' }, ...(isRoot ? [{ userns: 'host' }] : [])]) {
  const how = JSON.stringify(options);
  inner(`nothing in /proc and /sys that is the machine's can be written to: ${how}`, async () => {
    const { won, exitCode } = await attack(options, 'writable', '/proc', '/sys');
    expect(won.filter((line) => !harmless.includes(line))).toEqual([]);
    expect(exitCode).toBe(0);
  });

  inner(`a device node that the command makes opens nothing: ${how}`, async () => {
    const { won, control } = await attack(options, 'devices', ...writableDirectories);
    expect(won).toEqual([]);
    if ('userns' in options) expect(control).toContain('mknod /tmp/attack-mem');
  });
}

inner('masked files read as empty', async () => {
  const paths = ['/proc/kcore', '/proc/keys', '/proc/timer_list', '/proc/interrupts', '/proc/sched_debug'];
  const present = paths.filter((path) => fs.existsSync(path));
  const { output } = await attack({}, 'print', ...present);
  expect(output).toBe(present.map((path) => `${path}: 0\n`).join(''));
});
