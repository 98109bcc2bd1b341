import { RuntsError } from '../errors.ts';
import type { Environment, Handle, Host, Kernel, Processes } from '../host/host.ts';
import { ended } from '../node/ended.ts';
import { orThrow, systemError } from '../node/failure.ts';
import { NodeSession } from '../node/session.ts';
import { cgroups } from './cgroups.ts';
import { files } from './files.ts';
import { openHandle } from './handle.ts';
import { inherited } from './inherited.ts';
import { after } from './loop.ts';
import { native, newHandle } from './native.ts';
import { isPrivileged } from './null-device.ts';
import { run } from './run.ts';
import { connectTo, sockets } from './sockets.ts';
import { at, call, errno, isType, must, scratch, stat, system, textOf, types, variable } from './system.ts';

const gone = 3; // ESRCH
/** What pidfd_open says of a thread that is no process: of old, and from 6.9 on. */
const noProcess = [gone, errno.inval, errno.noent];

/** The ports of the core without Node. */
export function createHost(): Host {
  return {
    files,
    cgroups,
    processes,
    sockets,
    kernel,
    clock: { now: Date.now, after },
    random,
    environment: environment(),
  };
}

const processes: Processes = {
  spawn: async ({ flags, cgroup, detached, looks }) =>
    new Promise((resolve) => {
      if (looks !== undefined) throw systemError(errno.nosys, 'clone3');
      const directory = cgroup === undefined ? undefined : openHandle(cgroup, 'cgroup');
      const channel = native.spawn(flags, directory, (made) => {
        // Still within the call: what is thrown here rejects, too.
        const { pid, process, channel: own } = orThrow(made);
        resolve(new NodeSession({ pid, process, channel: own, ours: true, detached }));
      });
      orThrow(channel);
    }),
  // A zygote is worth its process to those who make many containers; only a runtime has one.
  spawnBy: async () => {
    throw systemError(errno.nosys, 'clone_inits');
  },
  forkBy: async () => {
    throw systemError(errno.nosys, 'fork_inits');
  },
  forkAhead() {
    throw systemError(errno.nosys, 'fork_inits');
  },
  ahead: () => undefined,
  run,
  signal(process, signal) {
    const refused = native.signal(openHandle(process, 'process'), signal);
    if (refused?.errno === gone) return false;
    orThrow(refused, undefined, 'pidfd_send_signal');
    return true;
  },
  async find(pid) {
    const result = call.pidfd_open(pid, 0);
    return noProcess.includes(-result) ? undefined : newHandle(must(result, 'pidfd_open', `process ${pid}`));
  },
  ended: async (process) => ended(process),
  async connect(path, pid, process) {
    openHandle(process, 'process');
    return new NodeSession({ pid, process, channel: await connectTo(path, { packets: true }), ours: false });
  },
  inherited,
};

const noQuota = async (): Promise<never> => {
  throw systemError(errno.nosys, 'quotactl_fd');
};

const kernel: Kernel = {
  blob,
  async filterDevices(cgroup, program) {
    orThrow(system.filterDevices(openHandle(cgroup, 'cgroup').fd, program), undefined, 'bpf');
  },
  // Limits of projects are for layers and volumes, which are Node's.
  projectQuota: noQuota,
  limitProject: noQuota,
  setProject: noQuota,
};

/** MFD_CLOEXEC, MFD_ALLOW_SEALING; MFD_NOEXEC_SEAL, which kernels before 6.3 refuse; and F_ADD_SEALS with all but exec. */
const memory = { flags: 0x3, noExec: 0x8, addSeals: 1033, seals: 0xf } as const;

/** Its position is 0: whoever gets it reads from the beginning. */
function blob(content: Uint8Array): Handle {
  let fd = call.memfd_create('runts-blob', memory.flags | memory.noExec);
  if (fd === -errno.inval) fd = call.memfd_create('runts-blob', memory.flags);
  const file = newHandle(must(fd, 'open', 'memfd'));
  try {
    for (let done = 0; done < content.length; ) {
      const rest = content.subarray(done);
      done += must(call.pwrite64(fd, rest, rest.length, done), 'write', 'memfd');
    }
    must(call.fcntl(fd, memory.addSeals, memory.seals), 'fcntl', 'memfd');
    return file;
  } catch (error) {
    file.close();
    throw error;
  }
}

function random(count: number): Uint8Array {
  const bytes = new Uint8Array(count);
  for (let done = 0; done < count; ) {
    const rest = bytes.subarray(done);
    done += must(call.getrandom(rest, rest.length, 0), 'getrandom');
  }
  return bytes;
}

function environment(): Environment {
  const uid = call.geteuid();
  let programs: Environment['programs'] | undefined;
  return {
    uid,
    gid: call.getegid(),
    privileged: isPrivileged(),
    get userName() {
      return userName(uid);
    },
    arch: system.arch,
    kernel: kernelRelease(),
    get cwd() {
      return currentDirectory();
    },
    runtimeDirectory: variable('XDG_RUNTIME_DIR') || `/run/user/${uid}`,
    stateDirectory: stateDirectory(uid),
    dataDirectory: dataDirectory(uid),
    get programs() {
      programs ??= findPrograms();
      return programs;
    },
  };
}

function findPrograms(): Environment['programs'] {
  const [newuidmap, newgidmap, fuseOverlayfs] = ['newuidmap', 'newgidmap', 'fuse-overlayfs'].map(findProgram);
  return {
    ...(newuidmap !== undefined && { newuidmap }),
    ...(newgidmap !== undefined && { newgidmap }),
    ...(fuseOverlayfs !== undefined && { fuseOverlayfs }),
  };
}

const directories = ['/usr/bin', '/usr/local/bin', '/bin', '/usr/sbin', '/usr/local/sbin', '/sbin'];

/** In directories that only root writes to: what is found is run with the right to hand out user ids. */
function findProgram(name: string): string | undefined {
  return directories.map((directory) => `${directory}/${name}`).find(isProgram);
}

export function isProgram(path: string): boolean {
  const found = stat(path);
  return typeof found !== 'number' && isType(found, types.file) && call.faccessat(at.cwd, path, 1) === 0;
}

/** The third of the six fields of `struct utsname`. */
function kernelRelease(): string {
  const fieldBytes = 65;
  const bytes = new Uint8Array(6 * fieldBytes);
  must(call.uname(bytes), 'uname');
  const release = bytes.subarray(2 * fieldBytes);
  return textOf(release, release.indexOf(0));
}

/** Asked for when it is needed: who names every path in full can do without. */
function currentDirectory(): string {
  const bytes = new Uint8Array(4096);
  const length = call.getcwd(bytes, bytes.length);
  // The kernel names one that cannot be reached `(unreachable)/…`.
  if (length > 0 && bytes[0] === 0x2f) return textOf(bytes, length - 1);
  const cause = systemError(length < 0 ? -length : errno.noent, 'getcwd');
  throw new RuntsError('ERR_SETUP', 'the current directory does not exist any more', {
    hint: 'Change to one that does, or name every path in full.',
    cause,
  });
}

/** By /etc/passwd alone: what a directory service knows, a program without a libc's plugins does not. */
function userName(uid: number): string | undefined {
  const fd = call.openat(at.cwd, '/etc/passwd', 0o2000000);
  if (fd < 0) return undefined;
  const file = newHandle(fd);
  let text = '';
  const more = (): number => call.read(fd, scratch, scratch.length);
  for (let n = more(); n > 0; n = more()) text += textOf(scratch, n);
  file.close();
  return text
    .split('\n')
    .find((line) => line.split(':')[2] === `${uid}`)
    ?.split(':')[0];
}

// ---- where state and images are: the rules of lib/node/paths.ts -----------------------------------------------------------

const isThere = (path: string): boolean => typeof stat(path) !== 'number';
const absoluteVariable = (name: string): string | undefined => {
  const value = variable(name);
  return value?.startsWith('/') ? value : undefined;
};
const temporary = (): string => variable('TMPDIR') || variable('TMP') || variable('TEMP') || '/tmp';

function stateDirectory(uid: number): string {
  const runtime = absoluteVariable('XDG_RUNTIME_DIR');
  if (runtime !== undefined) return `${runtime}/runts`;
  if (uid === 0) return '/run/runts';
  return isThere(`/run/user/${uid}`) ? `/run/user/${uid}/runts` : `${temporary()}/runts-${uid}`;
}

function dataDirectory(uid: number): string {
  const data = absoluteVariable('XDG_DATA_HOME');
  if (data !== undefined) return `${data}/runts`;
  if (uid === 0) return '/var/lib/runts';
  const home = absoluteVariable('HOME');
  return home === undefined ? `${temporary()}/runts-data-${uid}` : `${home}/.local/share/runts`;
}
