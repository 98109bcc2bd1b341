// CVE-2019-5736: what the init is executed from must not be there to be written to.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import { patienceMs, testIf } from '../support/requires.ts';

const at = (path: string) => fileURLToPath(new URL(path, import.meta.url));

interface Image {
  readonly inode: number;
  readonly memory: boolean;
}

/** The images of two inits, where a pid namespace of their own says what vm.memfd_noexec is. */
function images(noexec: 0 | 2): Image[] {
  const node = `exec "$0" --no-warnings --import "${at('../support/typescript.mjs')}" "${at('fixtures/two-inits.ts')}"`;
  const script = `mount -t proc proc /proc && echo ${noexec} > /proc/sys/vm/memfd_noexec && ${node}`;
  const { stdout, stderr } = spawnSync(
    'unshare',
    ['--pid', '--fork', '--mount', 'sh', '-c', script, process.execPath],
    { encoding: 'utf8', timeout: patienceMs },
  );
  if (stdout === '') throw new Error(stderr);
  return JSON.parse(stdout);
}

testIf('root', 'memfd_noexec')('inits share memory that is sealed', () => {
  const [first, second] = images(0);
  expect(first).toEqual(second);
  expect(first?.memory).toBe(true);
});

testIf('root', 'memfd_noexec')(
  'where memory must not be executed, no init is executed from the file of another',
  () => {
    const [first, second] = images(2);
    expect([first?.memory, second?.memory]).toEqual([false, false]);
    expect(first?.inode).not.toBe(second?.inode);
  },
);
