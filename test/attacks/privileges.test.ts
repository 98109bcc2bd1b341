// CVE-2016-3697, CVE-2016-8867, CVE-2022-29162, CVE-2022-36109, CVE-2024-40635, CVE-2026-30892: who a command is, and what it
// keeps of whoever started it: ids at the edges of their range, groups, keys, descriptors.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect } from 'vitest';
import { bin } from '../cli/runts.ts';
import { Place } from '../oci/oci.ts';
import {
  attackIf,
  attempted,
  type BundleSpec,
  bundleOf,
  canary,
  isRoot,
  Lifecycle,
  outcomeOf,
  payload,
  smallRoot,
  userNamespaces,
} from '../support/attack.ts';
import { testIf } from '../support/requires.ts';

const test = testIf('userns', 'busybox');
const testRoot = testIf('root', 'busybox');

// ---- ids ---------------------------------------------------------------------------------------------------------------

const noIds = [4294967296, 4294967295, -1, 1.5, 2 ** 53, 2 ** 64, '0', '', null, [0], true] as const;

for (const [how, edit] of userNamespaces) {
  test(`an id that no user can have is refused, and none wraps around to root: ${how}`, async () => {
    const set = (spec: BundleSpec, key: string, id: unknown) => {
      edit(spec);
      Object.assign(spec.process.user, { [key]: key === 'additionalGids' ? [id] : id });
    };
    for (const id of noIds) {
      for (const key of ['uid', 'gid', 'additionalGids']) {
        const container = new Lifecycle();
        const root = smallRoot();
        const attempt = attempted(async () => (await container.run(root, ['id'], (s) => set(s, key, id))).ended());
        const { output, refused } = await attempt;
        expect({ id, key, output, refused }).toEqual({ id, key, output: '', refused: 'ERR_SPEC' });
      }
    }
  });
}

testRoot('the last id there is is that one, and nobody else', async () => {
  const container = new Lifecycle();
  const { ended } = await container.run(smallRoot(), ['cat', '/proc/self/status'], (spec) => {
    userNamespaces[1]?.[1](spec);
    spec.process.user = { uid: 4294967294, gid: 4294967294, additionalGids: [4294967294, 2147483648] };
  });
  const status = await ended();
  expect(status).toMatch(/^Uid:(\t4294967294){4}$/m);
  expect(status).toMatch(/^Gid:(\t4294967294){4}$/m);
  expect(status).toMatch(/^Groups:\t2147483648 4294967294 $/m);
  expect(status).toMatch(/^CapEff:\t0{16}$/m);
});

// ---- the command line --------------------------------------------------------------------------------------------------

let there: Place;
beforeAll(async () => {
  there = new Place();
});
afterAll(() => there.remove());

test('exec takes no word for a user that is not one', async () => {
  await there.ok('run', '-d', '-b', there.bundle('sleep 1000'), 'users');
  const words = ['4294967296', '4294967295', '-1', ' 1', '1 ', '+1', '0x1', '1e0', '1:', ':1', '1:-1', '1:4294967296'];
  const attempts = words.map((word) => there.runts(['exec', '--user', word, 'users', 'id', '-u']));
  for (const [i, { code, stdout }] of (await Promise.all(attempts)).entries()) {
    expect({ word: words[i], code, stdout }).toEqual({ word: words[i], code: 255, stdout: '' });
  }
  // What is a user has no capability that was not asked to be ambient.
  const caps = ['--cap', 'CAP_SYS_ADMIN', '--cap', 'CAP_DAC_OVERRIDE'];
  const user = isRoot ? ['--user', '1000:1000'] : [];
  const { stdout } = await there.runts(['exec', ...user, ...caps, 'users', 'cat', '/proc/self/status']);
  expect(stdout).toMatch(/^CapInh:\t0{16}$/m);
  expect(stdout).toMatch(/^CapAmb:\t0{16}$/m);
  if (isRoot) expect(stdout).toMatch(/^CapEff:\t0{16}$/m);
});

/** Runs the command line by a shell, for what it is to be started with. */
function started(script: string, bundle: string, env: Readonly<Record<string, string>> = {}) {
  const root = join(there.directory.path, 'started');
  const runts = `${process.execPath} ${bin} --root ${root}`;
  const result = spawnSync('bash', ['-c', script], {
    encoding: 'utf8',
    timeout: 25_000,
    env: { ...process.env, RUNTS: runts, BUNDLE: bundle, ...env },
  });
  return `${result.stdout}${result.stderr}`;
}

for (const [how, edit] of userNamespaces) {
  testRoot(`the groups of whoever calls are not the container's: ${how}`, () => {
    const bundle = bundleOf(smallRoot(), ['sleep', '1000'], edit);
    const output = started(
      'setpriv --groups 4,6,27 $RUNTS run -d -b $BUNDLE groups > /dev/null < /dev/null 2>&1;' +
        'pid=$($RUNTS state groups | sed -n \'s/.*"pid": *\\([0-9]*\\).*/\\1/p\'); grep Groups /proc/$pid/status;' +
        'setpriv --groups 4,6,27 $RUNTS exec groups cat /proc/self/status | grep Groups; $RUNTS delete -f groups',
      bundle,
    );
    expect(output).toMatch(/^Groups:\s*\nGroups:\s*\n$/);
  });

  attackIf('busybox')(`descriptors that were left open lead no command to the host: ${how}`, () => {
    const host = canary();
    const root = smallRoot();
    fs.copyFileSync(payload(), join(root, 'bin/attack'));
    const note = `for i in /proc/self/fd/*; do readlink $i; done | grep -v -e ^pipe -e ^/dev/null -e ^/memfd -e ^/proc`;
    const hook = { path: '/bin/sh', args: ['sh', '-c', `{ ${note}; echo end; } >> /tmp/hook`], env: ['PATH=/bin'] };
    const bundle = bundleOf(root, ['sh', '-c', 'attack descriptors; cat /tmp/hook; exec sleep 1000'], (spec) => {
      edit(spec);
      spec.hooks = { startContainer: [hook as never] };
      spec.process.cwd = '/tmp/made';
    });
    const open = [3, 4, 5, 7, 9, 10, 17, 31, 100, 255, 900].map((fd) => `${fd}< ${fd % 2 ? host.path : '/'}`);
    const output = started(
      `exec ${open.join(' ')}; $RUNTS run -d -b $BUNDLE left > ${root}/out < /dev/null 2>&1;` +
        `for i in $(seq 100); do sleep 0.1; [ -s ${root}/tmp/hook ] && break; done; cat ${root}/out;` +
        '$RUNTS exec left attack descriptors; echo done; $RUNTS delete -f left',
      bundle,
    );
    expect(outcomeOf(output).won).toEqual([]);
    expect(output).not.toContain(host.path);
    expect(output).toContain('done');
  });
}

// ---- keys --------------------------------------------------------------------------------------------------------------

attackIf('busybox')("the keys of the caller's session are not the container's", async () => {
  const root = smallRoot();
  fs.copyFileSync(payload(), join(root, 'bin/attack'));
  for (const [, edit] of userNamespaces) {
    const bundle = bundleOf(root, ['sh', '-c', 'exec attack keys $ATTACK_KEY'], (spec) => {
      edit(spec);
      spec.process.env?.push('ATTACK_KEY=@KEY@');
    });
    const output = started(
      `${payload()} with-key bash -c 'sed -i "s/@KEY@/$ATTACK_KEY/" $BUNDLE/config.json; $RUNTS run -b $BUNDLE keys'`,
      bundle,
    );
    expect(outcomeOf(output)).toEqual({ won: [], control: ['keys'] });
  }
});
