import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, onTestFinished } from 'vitest';
import type { Host } from '../../lib/host/host.ts';
import { probeFacts } from '../../lib/host/probe.ts';
import { openArchive } from '../../lib/images/archive.ts';
import { createRuntime } from '../../lib/index.ts';
import { openContainerLayer } from '../../lib/layers/container-layer.ts';
import { makeRoot } from '../../lib/layers/root.ts';
import { createHost } from '../../lib/node/host.ts';
import { containerMaps } from '../../lib/plan/keeper.ts';
import { type Member, ociFiles, ociImage, tar } from '../support/archives.ts';
import { removeData } from '../support/remove-data.ts';
import { patience, testIf } from '../support/requires.ts';

const test = testIf('root', 'umoci');

let directory: string;
let host: Host;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'runts-test-'));
  const real = createHost();
  host = { ...real, environment: { ...real.environment, dataDirectory: join(directory, 'runts') } };
});
afterAll(async () => {
  await removeData(join(directory, 'runts'));
  rmSync(directory, { recursive: true, force: true });
});

const at = (name: string) => join(directory, name);
const umoci = (...args: string[]) => execFileSync('umoci', args, { stdio: 'pipe' });

/** Names, types, modes, owners, sizes, times, links, holes' blocks aside; then attributes and contents. */
function treeOf(path: string): string {
  const format = '%P %y %m %U:%G %s %T@ %l %n\\n';
  const sorted = `find . -mindepth 1 -printf '${format}' | sed -E 's/^(\\S* d \\S+ \\S+) \\S+ (\\S+) .*/\\1 \\2/' | sort`;
  const attributes = "getfattr -dRPh -m '^user' . 2>/dev/null | sort; true";
  const digests = 'find . -type f -print0 | sort -z | xargs -0 -r sha256sum';
  return execFileSync('bash', ['-c', `${sorted}; ${attributes}; ${digests}`], { cwd: path, encoding: 'utf8' });
}

/** The tree that a container of the image has, before it has changed anything. */
async function ours(layout: string, driver: 'overlay' | 'copy'): Promise<string> {
  const id = `${layout}-${driver}`;
  const place = join(host.environment.dataDirectory, 'containers', id);
  mkdirSync(place, { recursive: true, mode: 0o700 });
  onTestFinished(() => removeData(place));
  const image = await openArchive(at(layout));
  const facts = await probeFacts(host);
  const maps = containerMaps(undefined, facts);
  await makeRoot({ host, facts, id, image, maps, mappable: true, driver }, {});
  await image.close();
  const own = await openContainerLayer(host, id);
  expect(await own.changes()).toEqual([]);
  const to = at(`exported-${id}`);
  mkdirSync(to);
  const chunks: Buffer[] = [];
  for await (const chunk of own.export()) chunks.push(chunk as Buffer);
  const how = ['--delay-directory-restore', '--xattrs', '--xattrs-include=user.*', '-xpf', '-', '-C', to];
  execFileSync('tar', how, { input: Buffer.concat(chunks) });
  return treeOf(to);
}

function theirs(layout: string): string {
  umoci('unpack', '--image', `${at(layout)}:x`, at(`bundle-${layout}`));
  return treeOf(join(at(`bundle-${layout}`), 'rootfs'));
}

testIf(
  'root',
  'umoci',
  'attr',
)('an image of umoci with all that files can be is unpacked as umoci unpacks it', async () => {
  umoci('init', '--layout', at('all'));
  umoci('new', '--image', `${at('all')}:x`);
  const change = (script: string): void => {
    umoci('unpack', '--image', `${at('all')}:x`, at('work'));
    execFileSync('bash', ['-euc', script], { cwd: join(at('work'), 'rootfs'), stdio: 'pipe' });
    umoci('repack', '--image', `${at('all')}:x`, at('work'));
    rmSync(at('work'), { recursive: true });
  };
  change(`
    mkdir -p a/b/c gone dir/inner; echo one > a/one; ln a/one a/b/two; ln -s ../one a/b/link; ln -s /nowhere dangling
    echo x > gone/x; echo y > dir/inner/y; echo z > dir/z; mkfifo fifo; mknod null c 1 3; chmod 4711 a/one; chown 33:44 dir
    truncate -s 3M sparse; echo end >> sparse; setfattr -n user.note -v hello dir/z; setfattr -n user.d -v dir a
    touch -d '2001-02-03 04:05:06.789' a/b; touch -d '1969-01-01' dir/z; printf 'n' > "$(printf 'd\\303\\251j\\303\\240 vu')"
    mkdir -p "$(printf 'l%.0s' {1..120})/$(printf 'm%.0s' {1..120})"; echo deep > "$(printf 'l%.0s' {1..120})/$(printf 'm%.0s' {1..120})/f"`);
  change(
    'rm -r gone; rm -r dir/inner; mkdir dir/inner; echo new > dir/inner/new; rm a/b/two; rm dangling; mkdir dangling',
  );
  const expected = theirs('all');
  expect(expected).toContain('user.note');
  expect(await ours('all', 'overlay')).toBe(expected);
  expect(await ours('all', 'copy')).toBe(expected);
});

testIf('root', 'umoci', 'buildah')(
  'an image of buildah is unpacked as umoci unpacks it',
  { timeout: 60_000 * patience },
  async () => {
    const root = ['--root', at('buildah'), '--runroot', at('run'), '--storage-driver', 'vfs'];
    const buildah = (...args: string[]) =>
      execFileSync('buildah', [...root, ...args], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim();
    const context = at('context');
    mkdirSync(join(context, 'inner'), { recursive: true });
    const script = 'echo one > one; echo two > inner/two; ln one inner/link; ln -s ../one inner/away; chmod 2750 inner';
    execFileSync('bash', ['-euc', script], { cwd: context });
    let container = buildah('from', 'scratch');
    buildah('copy', '--chown', '33:44', container, context, '/srv');
    buildah('copy', '--chmod', '4711', container, '/bin/true', '/bin/true');
    buildah('config', '--cmd', '/bin/true', '--label', 'a=b', container);
    buildah('commit', '--format', 'oci', container, 'localhost/base');
    // A second layer, which takes away and puts over.
    container = buildah('from', '--pull-never', 'localhost/base');
    const mounted = buildah('mount', container);
    execFileSync('bash', ['-euc', 'rm srv/one; rm -r srv/inner; mkdir srv/inner; echo 3 > srv/inner/three'], {
      cwd: mounted,
    });
    buildah('umount', container);
    buildah('commit', '--format', 'oci', container, `oci:${at('built')}:x`);
    const expected = theirs('built');
    expect(expected).toContain('srv/inner/three');
    expect(expected).not.toContain('srv/one');
    expect(await ours('built', 'overlay')).toBe(expected);
    expect(await ours('built', 'copy')).toBe(expected);
  },
);

const slow = { timeout: 120_000 * patience };
test('an image of 128 layers is unpacked as umoci unpacks it, and runs', slow, async () => {
  const layers = Array.from({ length: 128 }, (_, i) => {
    const members: Member[] = [
      ...(i === 0 ? ['proc/', 'sys/', 'dev/', 'etc/'].map((name) => ({ name })) : []),
      { name: `etc/f${i}`, content: `layer ${i}` },
      { name: 'etc/last', content: `${i}` },
      { name: `d${i % 7}/`, mode: 0o700 + i },
      { name: `d${i % 7}/x${i}`, content: 'x' },
      ...(i % 10 === 9 ? [{ name: `etc/.wh.f${i - 1}` }] : []),
      ...(i % 50 === 49 ? [{ name: `d${(i + 1) % 7}/` }, { name: `d${(i + 1) % 7}/.wh..wh..opq` }] : []),
    ];
    return tar(...members);
  });
  const image = ociImage({ layers });
  const named = { ...image.descriptor, annotations: { 'org.opencontainers.image.ref.name': 'x' } };
  for (const [name, content] of Object.entries(ociFiles([named], image.files))) {
    mkdirSync(join(at('many'), name, '..'), { recursive: true });
    writeFileSync(join(at('many'), name), content);
  }
  const expected = theirs('many');
  expect(await ours('many', 'overlay')).toBe(expected);
  await using runtime = createRuntime({ root: host.environment.dataDirectory, state: at('state') });
  const mount = { type: 'bind', source: '/bin/busybox', target: '/bin/busybox' } as const;
  const { stdout } = await runtime.run({
    image: at('many'),
    mounts: [mount],
    command: ['/bin/busybox', 'cat', '/etc/last'],
  });
  expect(stdout).toBe('127');
});
