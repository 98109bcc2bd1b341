import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface TemporaryDirectory {
  readonly path: string;
  remove(): void;
}

/** A directory of its own for one test. */
export function temporaryDirectory(): TemporaryDirectory {
  const path = mkdtempSync(join(tmpdir(), 'runts-test-'));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

const busybox = '/bin/busybox';

const passwd = `root:x:0:0:root:/root:/bin/sh
app:x:1000:1000:App:/home/app:/bin/sh
`;
const group = `root:x:0:
app:x:1000:
extra:x:2000:app
`;

/** A root file system of busybox and three accounts, whose files are owned by whoever runs the test. */
export function busyboxRoot(): TemporaryDirectory {
  const directory = temporaryDirectory();
  const at = (path: string) => join(directory.path, path);
  // The containers' other users are to get in.
  chmodSync(directory.path, 0o755);
  for (const path of ['bin', 'etc', 'root', 'home/app', 'proc', 'sys', 'dev', 'tmp'])
    mkdirSync(at(path), { recursive: true });
  copyFileSync(busybox, at('bin/busybox'));
  chmodSync(at('bin/busybox'), 0o755);
  for (const name of execFileSync(busybox, ['--list'], { encoding: 'utf8' }).trim().split('\n')) {
    if (name !== 'busybox') symlinkSync('busybox', at(`bin/${name}`));
  }
  writeFileSync(at('etc/passwd'), passwd);
  writeFileSync(at('etc/group'), group);
  return directory;
}
