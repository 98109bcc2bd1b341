import { randomBytes } from 'node:crypto';
import { release, userInfo } from 'node:os';
import { RuntsError } from '../errors.ts';
import type { Environment, Host } from '../host/host.ts';
import { cgroups } from './cgroups.ts';
import { clock } from './clock.ts';
import { debugged } from './debug.ts';
import { files } from './files.ts';
import { kernel } from './kernel.ts';
import { native } from './native.ts';
import { dataDirectory, stateDirectory } from './paths.ts';
import { processes } from './processes.ts';
import { findProgram } from './programs.ts';
import { sockets } from './sockets.ts';

/** The ports of the core over Node: the one adapter. Who and where we are is read here, once. */
export function createHost(): Host {
  return debugged({ files, cgroups, processes, sockets, kernel, clock, random, environment: environment() });
}

/** Asked for some at a time: a call for each id takes as long as the rest of what an id costs. */
const pooledBytes = 1024;
let pool = new Uint8Array(0);

function random(bytes: number): Uint8Array {
  if (bytes > pooledBytes) return new Uint8Array(randomBytes(bytes));
  if (bytes > pool.length) pool = new Uint8Array(randomBytes(pooledBytes));
  const taken = pool.slice(0, bytes);
  // Nobody gets it again, nor finds it here.
  pool.fill(0, 0, bytes);
  pool = pool.subarray(bytes);
  return taken;
}

function environment(): Environment {
  const { arch } = process;
  if (process.platform !== 'linux' || (arch !== 'x64' && arch !== 'arm64')) {
    throw new RuntsError(
      'ERR_UNSUPPORTED',
      `runts runs on Linux on x64 and arm64, not on ${process.platform} on ${arch}`,
    );
  }
  const uid = process.geteuid?.() ?? 0;
  const newuidmap = findProgram('newuidmap');
  const newgidmap = findProgram('newgidmap');
  const fuseOverlayfs = findProgram('fuse-overlayfs');
  return {
    uid,
    gid: process.getegid?.() ?? 0,
    privileged: native.isPrivileged(),
    userName: userName(),
    arch,
    kernel: release(),
    get cwd() {
      return currentDirectory();
    },
    runtimeDirectory: process.env['XDG_RUNTIME_DIR'] || `/run/user/${uid}`,
    stateDirectory: stateDirectory({ uid, env: process.env }),
    dataDirectory: dataDirectory({ uid, env: process.env }),
    programs: {
      ...(newuidmap !== undefined && { newuidmap }),
      ...(newgidmap !== undefined && { newgidmap }),
      ...(fuseOverlayfs !== undefined && { fuseOverlayfs }),
    },
  };
}

/** Asked for when it is needed: who names every path in full can do without. */
function currentDirectory(): string {
  try {
    return process.cwd();
  } catch (error) {
    throw new RuntsError('ERR_SETUP', 'the current directory does not exist any more', {
      hint: 'Change to one that does, or name every path in full.',
      cause: error,
    });
  }
}

/** A uid without an entry in /etc/passwd is ordinary inside containers, and userInfo throws for it. */
function userName(): string | undefined {
  try {
    return userInfo().username;
  } catch {
    return undefined;
  }
}
