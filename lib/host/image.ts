import { RuntsError } from '../errors.ts';
import type { Facts } from '../plan/facts.ts';
import { containerMaps, ownerMaps } from '../plan/keeper.ts';
import type { OverlayLayers } from '../plan/layers.ts';
import type { Maps } from '../plan/plan.ts';
import type { ImageConfig } from '../spec/image-config.ts';
import { namespaceFlags } from '../spec/names.ts';
import type { CommonOptions } from '../spec/options.ts';
import type { Cancel } from './cancel.ts';
import { errnoOf } from './failure.ts';
import type { Handle, Host } from './host.ts';
import { type Kept, keep } from './keepers.ts';
import { mustBePrivate } from './private.ts';
import { frameDeadlineMs } from './session.ts';
import { Undo, withReleaseErrors } from './undo.ts';

/** Images are streams, digests, archives and registries: Node's business. */
export interface ImagePort {
  /**
   * Opens an image: by a path, which begins with `/`, `./` or `../`, what `docker save` writes, an OCI archive, or an OCI
   * layout directory; by anything else that of this name which is stored, or is pulled.
   */
  open(image: string, options: OpenImageOptions): Promise<OpenImage>;
}

export interface OpenImageOptions {
  /** What relative paths are below; asked for where there is one. */
  readonly environment: { readonly cwd: string };
  readonly pull: PullPolicy;
  readonly cancel: Cancel | undefined;
}

/** Whether an image is brought from its registry: where it is not stored, in any case, or not at all. */
export type PullPolicy = 'missing' | 'always' | 'never';

/** What containers have left, for others to be made of: as far as the core knows it. */
export interface SnapshotPort {
  /** Opens one as an image. Rejects where there is no such snapshot here. */
  open(id: string): Promise<OpenImage>;
}

/** Which image a container was made of. */
export interface ImageIdentity {
  /** In full, `docker.io/library/debian:12`; undefined for one by path or id. */
  readonly reference: string | undefined;
  /** The digest of its configuration; undefined where only its manifest's is known. */
  readonly id: string | undefined;
  /** Of its manifest. */
  readonly digest: string;
}

export interface OpenImage {
  readonly identity: ImageIdentity;
  readonly config: ImageConfig;
  /** Makes its root file system for a container, in the container's directory, which is there and empty. */
  makeRoot(place: RootPlace): Promise<ImageRoot>;
  close(): Promise<void>;
}

/** What is noted of a container beside its layers, in `container.json`: for whoever makes an image of it. */
export interface ContainerNote {
  readonly command: readonly string[];
  /** The image's configuration, with what the container's options put in its place. */
  readonly config: ImageConfig;
  /** Where something is mounted in it. */
  readonly mountPoints: readonly string[];
}

/** What the root file systems of containers stand on: it can be made in a directory before there is a container. */
export interface Standing {
  /** Equal for those that are the same. */
  readonly form: string;
  /** Makes it beside the empty file that the note of the container will be in. */
  make(directory: string): Promise<BlankNote>;
}

/** What a container's note is written to. */
export interface BlankNote {
  write(text: string): Promise<void>;
  close(): void;
}

/** A directory for a container whose options say nothing of its ids, made ahead, and who removes it when we are killed. */
export interface Reserved {
  /** The container's, from now on. */
  readonly id: string;
  /** Where it is, until it is moved to its place among containers. */
  readonly path: string;
  /** Of what stands in it. */
  readonly form: string;
  readonly kept: Kept;
  /** In it, and locked: somebody is there who has made it. Closed once it has been moved. */
  readonly note: BlankNote;
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
  /** A program may serve its files: nothing in the container sees it. */
  readonly servable?: boolean | undefined;
  readonly note?: ContainerNote | undefined;
  /** Its directory, where that is not in its place yet. */
  readonly reserved?: Reserved | undefined;
  /** How many bytes there may be in its directory. */
  readonly bytesMax?: number | undefined;
  /** Called before something is unpacked; where it throws, nothing is. */
  readonly refuse?: (() => void) | undefined;
  readonly cancel: Cancel | undefined;
}

/** A root file system, as the plan of a container wants it. */
export interface ImageRoot {
  /** The directory on the host; with an overlay, that of what was changed. */
  readonly path: string;
  readonly overlay?: OverlayLayers;
  /** A regular file of the image, found inside it. */
  read(path: string, bytesMax: number): Promise<string | undefined>;
  /** Gives back what goes beyond its directory: a limit. */
  release?(): Promise<void>;
  /** What another container of the same layers would want in its directory. */
  readonly standing?: Standing | undefined;
}

export interface UnpackedImage {
  readonly root: ImageRoot;
  readonly identity: ImageIdentity;
  readonly config: ImageConfig;
  release(): Promise<void>;
  /** From now on it stays, also when we are killed. */
  settle(): Promise<void>;
}

export interface UnpackRequest {
  /** Opens what it is made of. */
  readonly open: () => Promise<OpenImage>;
  readonly id: string;
  readonly userns: CommonOptions['userns'];
  /** A directory for it that is there; what it is kept by is the caller's to release, too. */
  readonly reserved?: Reserved | undefined;
  readonly bytesMax?: number | undefined;
  /** It is to outlive us, and with us a program that would serve its files. */
  readonly detached?: boolean | undefined;
  readonly cancel: Cancel | undefined;
  /**
   * Tells of the container before its root file system is there. Throws where an image of this configuration is not wanted;
   * nothing has been made by then.
   */
  readonly foresee: (config: ImageConfig) => Foreseen;
}

/** What is known of a container before its root file system is there. */
export interface Foreseen {
  /** CLONE_NEW* flags of its plan. */
  readonly flags: number;
  readonly note: ContainerNote;
  /** Throws where it could not be made, whatever is in the image: to be asked before something is unpacked for it. */
  readonly refuse: () => void;
}

/** Unpacks an image into a root file system of its own, which goes when it is released, or when this process dies. */
export async function unpackImage(host: Host, facts: Facts, request: UnpackRequest): Promise<UnpackedImage> {
  const { id, cancel } = request;
  const undo = new Undo();
  try {
    const parent = `${host.environment.dataDirectory}/containers`;
    // It starts while the image is opened, and it is found out whether it is needed.
    const keeping = keepPlace(host, facts, request, parent);
    // It may fail while nobody waits for it yet.
    keeping.catch(() => undefined);
    undo.add(async () => (await keeping.catch(() => undefined))?.kept.release());
    const image = await request.open();
    undo.add(() => image.close());
    const { flags: created, note, refuse } = request.foresee(image.config);
    const { kept, reserved } = await keeping;
    if (reserved === undefined) await host.files.makeDirectory(`${parent}/${id}`, 0o700);
    const containerIds = containerMaps(request.userns, facts);
    const mappable = !facts.privileged || containerIds === undefined || (created & namespaceFlags.user) !== 0;
    const owned = containerIds === undefined || (created & namespaceFlags.user) !== 0;
    const servable = request.detached !== true && owned && (created & namespaceFlags.pid) !== 0;
    const root = await image.makeRoot({
      host,
      facts,
      id,
      maps: containerIds,
      mappable,
      servable,
      note,
      reserved,
      bytesMax: request.bytesMax,
      refuse,
      cancel,
    });
    undo.add(async () => root.release?.());
    // What the container needs is noted by now; images that it does not need may go.
    await image.close();
    const release = async (): Promise<void> => {
      const [first, ...others] = await undo.run();
      if (first !== undefined) throw withReleaseErrors(first, others);
    };
    const settle = (): Promise<void> => kept.dismiss();
    return { root, identity: image.identity, config: image.config, release, settle };
  } catch (error) {
    throw withReleaseErrors(error, await undo.run());
  }
}

/** Who removes the directory of a container, which is there only where it was made ahead. */
interface KeptPlace {
  readonly kept: Kept;
  readonly reserved?: Reserved | undefined;
}

async function keepPlace(
  host: Host,
  facts: Facts,
  { id, userns, reserved, cancel }: UnpackRequest,
  parent: string,
): Promise<KeptPlace> {
  // Somebody may have removed all data since.
  if (reserved !== undefined && (await areThere(host, [reserved.path, parent])))
    return { kept: reserved.kept, reserved };
  const directory = await openPrivate(host, parent, 'a place for root file systems');
  try {
    const removals = [{ what: 'tree', directory, name: id }] as const;
    const patience = { deadlineMs: frameDeadlineMs, cancel };
    return { kept: await keep(host, { removals, maps: ownerMaps(userns, facts) }, patience) };
  } finally {
    directory.close();
  }
}

async function areThere(host: Host, directories: readonly string[]): Promise<boolean> {
  const kinds = await Promise.all(directories.map((each) => host.files.kind(each).catch(() => undefined)));
  return kinds.every((kind) => kind === 'directory');
}

async function openPrivate(host: Host, path: string, what: string): Promise<Handle> {
  await privateDirectory(host, path, what);
  return host.files.open(path, 'directory');
}

/** The id maps that containers have whose options say nothing of them, and those of their layers on disk. */
export const usualMaps = (facts: Facts) => ({
  container: containerMaps(undefined, facts),
  stored: ownerMaps(undefined, facts),
});

/** Makes a directory below that for data, where it is not there; nobody else may have put something into either. */
export async function privateDirectory(host: Host, path: string, what: string): Promise<void> {
  const both = [host.environment.dataDirectory, path];
  const found = await Promise.all(both.map((each) => host.files.isPrivate(each).catch(() => false)));
  if (found.every((isPrivate) => isPrivate)) return;
  await makeDirectories(host, path);
  for (const each of both) await mustBePrivate(host, each, what);
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
