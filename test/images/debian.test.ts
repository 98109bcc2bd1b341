import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { runts } from '../cli/runts.ts';
import { dockerFiles, packFiles } from '../support/archives.ts';
import { testIf } from '../support/requires.ts';
import { temporaryDirectory } from '../support/rootfs.ts';

/** Half a minute, and packages from a mirror: not for every run. */
const wanted = process.env['RUNTS_SLOW'] !== undefined;
const missing = !wanted
  ? 'set RUNTS_SLOW'
  : spawnSync('mmdebstrap', ['--version']).error !== undefined
    ? 'needs mmdebstrap'
    : undefined;
const isRoot = process.getuid?.() === 0;
const maybe = missing === undefined ? testIf(isRoot ? 'root' : 'subuids', 'skopeo', 'umoci') : test.skip;

const quiet = { stdio: ['ignore', 'pipe', 'pipe'] as ['ignore', 'pipe', 'pipe'], maxBuffer: 1 << 30 };

maybe(
  `Debian, made by mmdebstrap, umoci and skopeo, runs from each kind of archive${missing ? ` (${missing})` : ''}`,
  { timeout: 600_000 },
  async () => {
    const directory = temporaryDirectory();
    const at = (name: string) => join(directory.path, name);
    try {
      chmodSync(directory.path, 0o755);
      // By its standard output: what mmdebstrap becomes, as an ordinary user, may not write here.
      const made = execFileSync('mmdebstrap', ['--quiet', '--variant=essential', 'bookworm', '-'], quiet);
      writeFileSync(at('plain.tar'), packFiles(dockerFiles({ layers: [made] })));
      const skopeo = (from: string, to: string) =>
        execFileSync('skopeo', ['--insecure-policy', 'copy', from, to], quiet);
      skopeo(`docker-archive:${at('plain.tar')}`, `oci:${at('layout')}:debian`);
      const script = 'grep ^ID= /etc/os-release; stat -c "%a %u:%g" /usr/bin/su /var/local; dpkg-query -W bash';
      const config = [
        '--config.cmd',
        'bash',
        '--config.cmd',
        '-c',
        '--config.cmd',
        script,
        '--config.env',
        'LANG=C.UTF-8',
      ];
      execFileSync('umoci', ['config', '--image', `${at('layout')}:debian`, ...config], quiet);
      skopeo(`oci:${at('layout')}:debian`, `docker-archive:${at('docker.tar')}:debian:12`);
      skopeo(`oci:${at('layout')}:debian`, `oci-archive:${at('oci.tar')}`);
      for (const name of ['layout', 'docker.tar', 'oci.tar']) {
        const began = performance.now();
        const ended = await runts(['run', '--image', at(name)], { env: { XDG_DATA_HOME: directory.path } });
        const ms = Math.round(performance.now() - began);
        expect(ended, `${name}, ${ms} ms`).toMatchObject({ code: 0, stderr: '' });
        expect(ended.stdout).toMatch(/^ID=debian\n4755 0:0\n2775 0:50\nbash\t5\./);
      }
      expect(readFileSync(at('docker.tar')).length).toBeGreaterThan(50_000_000);
    } finally {
      directory.remove();
    }
  },
);
