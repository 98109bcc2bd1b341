// CVE-2025-23266, CVE-2019-14271, CVE-2022-1227: what is run on the host for a container takes nothing from the image, nor from
// our caller, that would have it load or execute something else.
import fs from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect } from 'vitest';
import { Place } from '../oci/oci.ts';
import { bundleOf, canary, place as directory, smallRoot, userNamespaces } from '../support/attack.ts';
import { testIf } from '../support/requires.ts';

const test = testIf('userns', 'busybox');
let there: Place;
beforeAll(() => {
  there = new Place();
});
afterAll(() => there.remove());

const poison = {
  LD_PRELOAD: '/nowhere/evil.so',
  LD_LIBRARY_PATH: '/nowhere',
  NODE_OPTIONS: '--no-deprecation',
  BASH_ENV: '/nowhere/evil',
  EVIL: 'from the caller',
} as const;
const imagesPoison = Object.keys(poison).map((name) => `${name}=/tmp/from-the-image`);
const kinds = ['prestart', 'createRuntime', 'createContainer', 'poststart', 'poststop'] as const;

for (const [how, edit] of userNamespaces) {
  test(`hooks get their own environment and nothing of the caller's or the image's: ${how}`, async () => {
    const log = join(directory('log', { open: true }), 'log');
    fs.writeFileSync(log, '', { mode: 0o666 });
    fs.chmodSync(log, 0o666);
    const script = (kind: string) => `/usr/bin/env | /usr/bin/sed 's/^/${kind} /' >> ${log}`;
    const bundle = bundleOf(smallRoot(), ['true'], (spec) => {
      edit(spec);
      spec.process.env = ['PATH=/bin', ...imagesPoison];
      const hook = (kind: string) => ({ path: '/bin/sh', args: ['sh', '-c', script(kind)], env: [`ONLY=${kind}`] });
      spec.hooks = Object.fromEntries(kinds.map((kind) => [kind, [hook(kind)]]));
      // One that says nothing has none: not ours, and not that of the command.
      for (const kind of kinds) {
        const { path, args } = hook(`${kind}-without`);
        (spec.hooks as unknown as Record<string, unknown[]>)[kind]?.push({ path, args });
      }
    });
    const env = { ...poison, LD_PRELOAD: '' };
    const { code, stderr } = await there.runts(['run', '-b', bundle, 'hooks'], { env });
    // Who has a single id is told that there is no group of terminals: a warning, no error.
    expect({ code, stderr }).toEqual({ code: 0, stderr: expect.not.stringContaining('level=error') });
    const lines = fs.readFileSync(log, 'utf8').trim().split('\n');
    const others = lines.filter((line) => !/^\S+( (PWD|SHLVL|_|OLDPWD)=.*)?$/.test(line));
    expect(others).toEqual(kinds.map((kind) => `${kind} ONLY=${kind}`));
  });

  test(`a hook that runs in the container is found there, and the host's are found on the host: ${how}`, async () => {
    const host = canary();
    const root = smallRoot();
    // What the image has where the host has a program.
    fs.symlinkSync(`${host.path}/secret`, join(root, 'bin/evil'));
    const bundle = bundleOf(root, ['true'], (spec) => {
      edit(spec);
      spec.hooks = { startContainer: [{ path: '/bin/evil' }] } as never;
    });
    const { code, stdout } = await there.runts(['run', '-b', bundle, 'found']);
    expect({ code, stdout }).toEqual({ code: expect.not.stringMatching(/^0$/), stdout: '' });
    expect(host.changes()).toEqual([]);
  });
}
