import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { type Member, ociFiles, ociImage, packFiles, tar } from '../support/archives.ts';

const busybox = '/bin/busybox';
const passwd = 'root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000:App:/home/app:/bin/sh\n';
const group = 'root:x:0:\ntty:x:5:\napp:x:1000:\nextra:x:2000:app\n';

/** An image of busybox and two accounts as an OCI archive, by the name `test`, made without a network. */
export function writeImage(path: string): void {
  const directories = ['bin/', 'etc/', 'proc/', 'sys/', 'dev/', 'root/', 'srv/', 'home/', 'data/'].map((name) => ({
    name,
  }));
  const applets = execFileSync(busybox, ['--list'], { encoding: 'utf8' }).trim().split('\n');
  const links = applets
    .filter((name) => name !== 'busybox')
    .map((name): Member => ({ name: `bin/${name}`, type: '2', link: 'busybox' }));
  const layer = tar(
    ...directories,
    { name: 'tmp/', mode: 0o1777 },
    { name: 'home/app/', uid: 1000, gid: 1000 },
    { name: 'bin/busybox', content: readFileSync(busybox), mode: 0o755 },
    ...links,
    { name: 'bin/not-executable', content: 'x' },
    { name: 'etc/passwd', content: passwd },
    { name: 'etc/group', content: group },
    { name: 'data/from-image', content: 'from the image\n' },
  );
  const config = { Cmd: ['sh'], Env: ['PATH=/bin'] };
  const { files, descriptor } = ociImage({ layers: [layer], config });
  const annotations = { 'org.opencontainers.image.ref.name': 'test' };
  writeFileSync(path, packFiles(ociFiles([{ ...descriptor, annotations }], files)));
}
