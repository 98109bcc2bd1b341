// What the package is made of (R40): each of its parts is known by name, version, licence and digest.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { root } from '../types/diagnostics.ts';

interface Locked {
  readonly version?: string;
  readonly integrity?: string;
  readonly license?: string;
  readonly dev?: boolean;
  readonly optional?: boolean;
  readonly hasInstallScript?: boolean;
}

const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as { packages: Record<string, Locked> };
const { dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  dependencies: Record<string, string>;
};
const packages = Object.entries(lock.packages).filter(([path]) => path !== '');
const shipped = packages.filter(([, { dev }]) => dev !== true);
const nameOf = (path: string) => path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length);

test('every package that is installed is locked to the bytes that it had when it was chosen', () => {
  // Those of other machines are not, and npm has not seen them.
  const installed = packages.filter(([, { integrity, optional }]) => integrity !== undefined || optional !== true);
  const unlocked = installed.filter(([, { integrity }]) => !/^sha512-[A-Za-z0-9+/]{86}==$/.test(integrity ?? ''));
  expect(unlocked).toEqual([]);
  expect(shipped.filter(([, { integrity }]) => integrity === undefined)).toEqual([]);
});

test('dependencies are named with exact versions, run nothing when they are installed, and are free to pass on', () => {
  for (const [name, version] of Object.entries(dependencies)) {
    expect({ name, version }).toEqual({ name, version: lock.packages[`node_modules/${name}`]?.version });
  }
  expect(shipped.filter(([, { hasInstallScript }]) => hasInstallScript === true)).toEqual([]);
  const free = ['MIT', 'ISC', 'BlueOak-1.0.0', 'Apache-2.0', 'BSD-2-Clause', 'BSD-3-Clause', '0BSD'];
  expect(shipped.filter(([, { license }]) => !free.includes(license ?? ''))).toEqual([]);
});

test('a bill of materials can be made of it, with nothing left out', () => {
  // With --omit=dev it would leave out what tools need as well.
  const how = ['sbom', '--sbom-format=spdx', '--package-lock-only'];
  const { stdout } = spawnSync('npm', how, { cwd: root, encoding: 'utf8', timeout: 60_000 });
  const bill = JSON.parse(stdout) as { packages: readonly { name: string; licenseDeclared: string }[] };
  const names = new Set(bill.packages.map(({ name }) => name));
  expect(['runts', ...shipped.map(([path]) => nameOf(path))].filter((name) => !names.has(name))).toEqual([]);
  expect(bill.packages.filter(({ licenseDeclared }) => !licenseDeclared)).toEqual([]);
});
