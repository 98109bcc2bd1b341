import { cpSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { compileSeccomp } from '../lib/seccomp/compile.js';
import { defaultProfile } from '../lib/seccomp/default.js';
import { defaultCapabilities, defaultSpec } from '../lib/spec/defaults.js';

/** The container that everybody makes: Docker's default one, around busybox. */
export interface Bundle {
  readonly directory: string;
  readonly rootfs: string;
  /** The same without a seccomp filter. */
  readonly unfiltered: string;
  /** The same whose command waits to be killed. */
  readonly idle: string;
  /** A file with its seccomp filter, as instructions. */
  readonly filter: string;
  /** Whether it has a mount of cgroups. */
  readonly cgroup: boolean;
}

const arch = process.arch === 'arm64' ? 'arm64' : 'x64';

export function makeBundle(scratch: string): Bundle {
  if (!existsSync('/bin/busybox')) throw new Error('the benchmark needs /bin/busybox (Debian: busybox-static)');
  const rootfs = join(scratch, 'rootfs');
  for (const directory of ['bin', 'etc', 'proc', 'sys', 'dev', 'tmp'])
    mkdirSync(join(rootfs, directory), { recursive: true });
  cpSync('/bin/busybox', join(rootfs, 'bin/busybox'));
  for (const applet of ['true', 'sleep', 'sh']) symlinkSync('busybox', join(rootfs, 'bin', applet));

  const cgroup = hasUnifiedCgroups();
  const config = defaultConfig(rootfs, cgroup);
  const put = (name: string, content: object): string => {
    const directory = join(scratch, name);
    mkdirSync(directory);
    writeFileSync(join(directory, 'config.json'), JSON.stringify(content, null, 2));
    return directory;
  };
  const filter = join(scratch, 'filter');
  writeFileSync(filter, compileSeccomp(seccomp, { arch }));
  const { seccomp: _, ...open } = config.linux;
  return {
    directory: put('bundle', config),
    unfiltered: put('unfiltered', { ...config, linux: open }),
    idle: put('idle', { ...config, process: { ...config.process, args: ['/bin/sleep', '1000'] } }),
    rootfs,
    filter,
    cgroup,
  };
}

const seccomp = defaultProfile({ arch, capabilities: defaultCapabilities });

/** For root without a user namespace, as Docker has it; for anybody else with one of a single id, which all of them can. */
function defaultConfig(rootfs: string, cgroup: boolean) {
  const spec = defaultSpec();
  const ordinary = process.getuid!() !== 0;
  const id = (hostID: number) => [{ containerID: 0, hostID, size: 1 }];
  const maps = ordinary && { uidMappings: id(process.getuid!()), gidMappings: id(process.getgid!()) };
  const mounts = (spec.mounts ?? []).filter(({ type }) => cgroup || type !== 'cgroup');
  return {
    ...spec,
    // What the oldest of the peers reads.
    ociVersion: '1.0.2',
    process: { ...spec.process!, args: ['/bin/true'] },
    root: { path: rootfs, readonly: false },
    hostname: 'bench',
    // With one id there is no group 5 to give terminals to.
    mounts: mounts.map((mount) => ({ ...mount, options: mount.options?.filter((o) => !ordinary || o !== 'gid=5') })),
    linux: {
      ...spec.linux,
      ...maps,
      namespaces: spec.linux.namespaces.filter(({ type }) => ordinary || type !== 'user'),
      seccomp,
    },
  };
}

/** On a hybrid host not all of them can mount cgroups. */
const hasUnifiedCgroups = () => readFileSync('/proc/mounts', 'utf8').includes(' /sys/fs/cgroup cgroup2 ');
