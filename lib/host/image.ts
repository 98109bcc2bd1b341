import { RuntsError } from '../errors.ts';
import type { Facts } from '../plan/facts.ts';
import { type Ownership, ownerMaps, ownershipProgram, ownershipRowsMax } from '../plan/keeper.ts';
import type { Maps } from '../plan/plan.ts';
import type { ImageConfig } from '../spec/image-config.ts';
import { namespaceFlags } from '../spec/names.ts';
import type { CommonOptions } from '../spec/options.ts';
import type { Cancel } from './cancel.ts';
import { errnoOf } from './failure.ts';
import type { Host } from './host.ts';
import { startKeeper } from './keeper.ts';
import { mustBePrivate } from './private.ts';
import { runProgram } from './program.ts';
import { frameDeadlineMs } from './session.ts';
import { Undo, withReleaseErrors } from './undo.ts';

/** Images are streams, digests and archives: Node's business. */
export interface ImagePort {
  /** Opens what `docker save` writes, an OCI archive, or an OCI layout directory. */
  open(path: string): Promise<OpenImage>;
}

export interface OpenImage {
  readonly config: ImageConfig;
  /** Applies its layers to an empty directory. Owners that it may not give are returned. */
  unpack(
    directory: string,
    options: { readonly asRoot: boolean; readonly cancel: Cancel | undefined },
  ): Promise<readonly Ownership[]>;
  close(): Promise<void>;
}

export interface UnpackedImage {
  readonly root: string;
  readonly config: ImageConfig;
  release(): Promise<void>;
}

export interface UnpackRequest {
  readonly path: string;
  readonly id: string;
  readonly userns: CommonOptions['userns'];
  readonly images: ImagePort;
  readonly cancel: Cancel | undefined;
  /** Throws where an image of this configuration is not wanted; nothing has been made by then. */
  readonly refuse: (config: ImageConfig) => void;
}

/** Unpacks an image into a root file system of its own, which goes when it is released, or when this process dies. */
export async function unpackImage(host: Host, facts: Facts, request: UnpackRequest): Promise<UnpackedImage> {
  const { path, id, images, cancel } = request;
  const undo = new Undo();
  const patience = { deadlineMs: frameDeadlineMs, cancel };
  try {
    const image = await images.open(path);
    undo.add(() => image.close());
    request.refuse(image.config);
    const maps = ownerMaps(request.userns, facts);
    const flags = maps === undefined ? 0 : namespaceFlags.user;
    const parent = `${host.environment.dataDirectory}/containers`;
    await makeDirectories(host, parent);
    const { dataDirectory } = host.environment;
    for (const path of [dataDirectory, parent]) await mustBePrivate(host, path, 'a place for root file systems');
    const handle = await host.files.open(parent, 'directory');
    try {
      const cleanup = { trees: [{ directory: 0, name: id }], cgroups: [] };
      const keeper = await startKeeper(host, { cleanup, directories: [handle], maps, flags }, patience);
      undo.add(() => keeper.release());
    } finally {
      handle.close();
    }
    const root = `${parent}/${id}/rootfs`;
    await host.files.makeDirectory(`${parent}/${id}`, 0o700);
    await host.files.makeDirectory(root, 0o755);
    const owners = await image.unpack(root, { asRoot: facts.privileged, cancel });
    if (maps !== undefined && maps.setgroups === 'allow') await giveOwners(host, root, owners, maps, patience);
    const release = async (): Promise<void> => {
      const [first, ...others] = await undo.run();
      if (first !== undefined) throw withReleaseErrors(first, others);
    };
    return { root, config: image.config, release };
  } catch (error) {
    throw withReleaseErrors(error, await undo.run());
  }
}

/** Owners are ids of the container: only inside a user namespace with its maps may an ordinary user give them. */
async function giveOwners(
  host: Host,
  root: string,
  owners: readonly Ownership[],
  maps: Maps,
  patience: { readonly deadlineMs: number; readonly cancel: Cancel | undefined },
): Promise<void> {
  if (owners.length === 0) return;
  const handle = await host.files.open(root, 'directory');
  try {
    for (let at = 0; at < owners.length; at += ownershipRowsMax) {
      const segment = ownershipProgram(owners.slice(at, at + ownershipRowsMax));
      await runProgram(host, { flags: namespaceFlags.user, maps, segment, inputs: [handle] }, patience);
    }
  } finally {
    handle.close();
  }
}

/** Each with mode 0700: nobody else is to reach a set-user-id program of an image. */
async function makeDirectories(host: Host, path: string): Promise<void> {
  const names = path.split('/').slice(1);
  for (let i = 1; i <= names.length; i++) {
    const directory = `/${names.slice(0, i).join('/')}`;
    if ((await host.files.kind(directory).catch(() => undefined)) === 'directory') continue;
    await host.files.makeDirectory(directory, 0o700).catch((error: unknown) => {
      if (errnoOf(error) === 'EEXIST') return;
      throw new RuntsError('ERR_SETUP', `cannot make ${directory}, to keep root file systems in: ${errnoOf(error)}`, {
        hint: 'Set XDG_DATA_HOME to a directory that this user may write to.',
        cause: error,
      });
    });
  }
}
