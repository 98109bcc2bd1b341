import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { openArchive } from '../../lib/images/archive.ts';
import { unpackLayers } from '../support/reference/unpack.ts';
import { testIf } from '../support/requires.ts';
import { isRoot, look, temporaryDirectory } from '../support/unpacked.ts';

/** An OCI layout with a busybox image of four layers: the last removes a file of another. */
function buildLayout(directory: string): string {
  const layout = join(directory, 'layout');
  const image = `${layout}:bb`;
  const run = (...args: string[]) => execFileSync('umoci', args, { stdio: 'pipe' });
  const put = (path: string, content: string) => {
    fs.writeFileSync(join(directory, 'file'), content);
    run('insert', ...rootless, '--image', image, join(directory, 'file'), path);
  };
  const rootless = isRoot ? [] : ['--rootless'];
  run('init', '--layout', layout);
  run('new', '--image', image);
  // A copy: umoci, as an ordinary user, changes the mode of the directory that it takes a file from.
  fs.copyFileSync('/bin/busybox', join(directory, 'busybox'));
  run('insert', ...rootless, '--image', image, join(directory, 'busybox'), '/bin/busybox');
  put('/etc/motd', 'hello');
  put('/etc/gone', 'x');
  run('insert', ...rootless, '--image', image, '--whiteout', '/etc/gone');
  run('config', '--image', image, '--config.cmd', '/bin/busybox', '--config.env', 'A=b', '--config.workingdir', '/etc');
  run('config', '--image', image, '--config.user', '1:2', '--config.label', 'x=y', '--config.stopsignal', 'SIGINT');
  return layout;
}

/** What an image says of itself, and its tree; the binary by its size. */
async function readImage(path: string) {
  const image = await openArchive(path);
  const root = join(await temporaryDirectory(), 'root');
  fs.mkdirSync(root);
  try {
    await unpackLayers(image, root, { asRoot: isRoot });
    const { config, os, architecture, layers } = image;
    const tree = look(root).map((line) => (line.startsWith('bin/busybox') ? `bin/busybox ${line.length}` : line));
    return { config, os, architecture, diffIds: layers.map(({ diffId }) => diffId), tree };
  } finally {
    await image.close();
  }
}

const needsPeers = testIf('skopeo', 'umoci', 'busybox');

needsPeers('an image by umoci is the same as a layout, and in the archives that skopeo makes of it', async () => {
  const directory = await temporaryDirectory();
  const layout = buildLayout(directory);
  const copy = (to: string) =>
    execFileSync('skopeo', ['--insecure-policy', 'copy', `oci:${layout}:bb`, to], { stdio: 'pipe' });
  copy(`docker-archive:${directory}/docker.tar:bb:latest`);
  copy(`oci-archive:${directory}/oci.tar`);
  execFileSync('gzip', ['-k', join(directory, 'docker.tar')]);

  const expected = await readImage(layout);
  expect(expected.config).toMatchObject({
    Cmd: ['/bin/busybox'],
    WorkingDir: '/etc',
    User: '1:2',
    StopSignal: 'SIGINT',
  });
  expect(expected.config.Env).toContain('A=b');
  expect(expected.tree.filter((line) => line.startsWith('etc/'))).toEqual(['etc/ 755', 'etc/motd 644 hello']);
  for (const name of ['docker.tar', 'oci.tar', 'docker.tar.gz']) {
    expect(await readImage(join(directory, name)), name).toEqual(expected);
  }
});
