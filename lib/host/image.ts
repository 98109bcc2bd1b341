import { RuntsError } from '../errors.ts';
import type { Facts } from '../plan/facts.ts';
import { containerMaps, ownerMaps } from '../plan/keeper.ts';
import type { OverlayLayers } from '../plan/layers.ts';
import type { Maps, Plan } from '../plan/plan.ts';
import type { ImageConfig } from '../spec/image-config.ts';
import { namespaceFlags } from '../spec/names.ts';
import type { CommonOptions } from '../spec/options.ts';
import type { Cancel } from './cancel.ts';
import { errnoOf } from './failure.ts';
import type { Host } from './host.ts';
import { startKeeper } from './keeper.ts';
import { mustBePrivate } from './private.ts';
import { frameDeadlineMs } from './session.ts';
import { Undo, withReleaseErrors } from './undo.ts';

/** Images are streams, digests and archives: Node's business. */
export interface ImagePort {
  /** Opens what `docker save` writes, an OCI archive, or an OCI layout directory. */
  open(path: string): Promise<OpenImage>;
}

export interface OpenImage {
  readonly config: ImageConfig;
  /** Makes its root file system for a container, in the container's directory, which is there and empty. */
  makeRoot(place: RootPlace): Promise<ImageRoot>;
  close(): Promise<void>;
}

/** Where a root file system is to be, and for whom. */
export interface RootPlace {
  readonly host: Host;
  readonly facts: Facts;
  readonly id: string;
  /** The ids of the container; undefined where they are the host's. */
  readonly maps: Maps | undefined;
  /** The user namespace is there when the root is mounted, for the kernel to map owners through. */
  readonly mappable: boolean;
  readonly cancel: Cancel | undefined;
}

/** A root file system, as the plan of a container wants it. */
export interface ImageRoot {
  /** The directory on the host; with an overlay, that of what was changed. */
  readonly path: string;
  readonly overlay?: OverlayLayers;
  /** A regular file of the image, found inside it. */
  read(path: string, bytesMax: number): Promise<string | undefined>;
}

export interface UnpackedImage {
  readonly root: ImageRoot;
  readonly config: ImageConfig;
  release(): Promise<void>;
}

export interface UnpackRequest {
  readonly path: string;
  readonly id: string;
  readonly userns: CommonOptions['userns'];
  readonly images: ImagePort;
  readonly cancel: Cancel | undefined;
  /** Throws where an image of this configuration is not wanted; nothing has been made by then. Gives the plan without it. */
  readonly refuse: (config: ImageConfig) => Plan;
}

/** Unpacks an image into a root file system of its own, which goes when it is released, or when this process dies. */
export async function unpackImage(host: Host, facts: Facts, request: UnpackRequest): Promise<UnpackedImage> {
  const { path, id, images, cancel } = request;
  const undo = new Undo();
  const patience = { deadlineMs: frameDeadlineMs, cancel };
  try {
    const image = await images.open(path);
    undo.add(() => image.close());
    const plan = request.refuse(image.config);
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
    await host.files.makeDirectory(`${parent}/${id}`, 0o700);
    const containerIds = containerMaps(request.userns, facts);
    const mappable = !facts.privileged || containerIds === undefined || (plan.flags & namespaceFlags.user) !== 0;
    const root = await image.makeRoot({ host, facts, id, maps: containerIds, mappable, cancel });
    const release = async (): Promise<void> => {
      const [first, ...others] = await undo.run();
      if (first !== undefined) throw withReleaseErrors(first, others);
    };
    return { root, config: image.config, release };
  } catch (error) {
    throw withReleaseErrors(error, await undo.run());
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
