import type { Facts } from '../plan/facts.ts';
import {
  copyTreeProgram,
  type OverlayLayers,
  planTrial,
  readTreeProgram,
  removalProgram,
  unpackProgram,
} from '../plan/layers.ts';
import type { Maps, Segment } from '../plan/plan.ts';
import { namespaceFlags } from '../spec/names.ts';
import { type Cancel, throwIfCanceled } from './cancel.ts';
import type { Handle, Host, Stream } from './host.ts';
import { runProgram, type ShortProgram } from './program.ts';
import { died, nextMilestone, unexpected } from './progress.ts';
import { frameDeadlineMs } from './session.ts';
import { Undo, withReleaseErrors } from './undo.ts';
import { beginWalk } from './walk.ts';

export { type OverlayLayers, trialEntry } from '../plan/layers.ts';

/** An init at work below a directory, and the stream that it works from. */
export interface Unpacking {
  /** Records (lib/layers/records.ts). Closed early, it ends the work. */
  readonly records: Stream;
  /** Fulfilled when the last record was carried out. Rejects with what went wrong, its detail the name of the entry. */
  readonly done: Promise<void>;
}

/** An init that answers questions about what is below a directory, and the stream to ask it over. */
export interface TreeReading {
  /** Questions and answers (lib/layers/tree-reader.ts). Closed, it ends the work. */
  readonly stream: Stream;
  /** Fulfilled when the last question was answered. Rejects with what went wrong, its detail what was being read. */
  readonly done: Promise<void>;
}

export interface UnpackPlace {
  /** The directory, by its path on the host. */
  readonly directory: string;
  /** Owners are ids of these, given inside a user namespace; without, they are ids of the host. */
  readonly maps: Maps | undefined;
  readonly cancel?: Cancel | undefined;
}

interface StreamedProgram extends ShortProgram {
  readonly inputs: readonly Handle[];
  readonly cancel?: Cancel | undefined;
}

/** A layer may come slowly, from far away, and go as slowly: whoever is at the other end says when that takes too long. */
const streamMs = 24 * 60 * 60 * 1000;

const flagsOf = (maps: Maps | undefined) => (maps === undefined ? 0 : namespaceFlags.user);

/** Starts an init, in a user namespace where there are maps, that makes files and directories as records say. */
export async function startUnpacking(host: Host, { directory, maps, cancel }: UnpackPlace): Promise<Unpacking> {
  const { stream, done } = await streamed(host, { directory, maps, cancel }, unpackProgram, 'unpacking');
  return { records: stream, done };
}

/** Starts an init, in a user namespace where there are maps, that tells what is below a directory. */
export function startReading(host: Host, place: UnpackPlace): Promise<TreeReading> {
  return streamed(host, place, readTreeProgram, 'reading');
}

async function streamed(
  host: Host,
  { directory, maps, cancel }: UnpackPlace,
  program: (how: { readonly mapped: boolean }) => Segment,
  doing: string,
): Promise<TreeReading> {
  throwIfCanceled(cancel, doing);
  const root = await host.files.open(directory, 'directory');
  const segment = program({ mapped: maps !== undefined });
  return streamProgram(host, { flags: flagsOf(maps), maps, segment, inputs: [root], cancel });
}

/** Runs a program whose first input is a stream, which it works from; closes the others at its end. */
export async function streamProgram(host: Host, { inputs, cancel, ...program }: StreamedProgram): Promise<TreeReading> {
  const closeInputs = (): void => {
    for (const input of inputs) input.close();
  };
  const { ours, theirs } = await host.sockets.pair().catch((error: unknown) => {
    closeInputs();
    throw error;
  });
  const close = (): void => {
    for (const end of [ours, theirs]) end.close();
    closeInputs();
  };
  const request = { ...program, inputs: [theirs, ...inputs] };
  const done = runProgram(host, request, { deadlineMs: streamMs, cancel }).then(close, (error: unknown) => {
    close();
    throw error;
  });
  // It may fail while nobody waits for it yet; whoever does, later, hears of it.
  done.catch(() => undefined);
  return { stream: ours, done };
}

export interface TreeCopy {
  /** Directories, by their paths on the host; the second is there, and empty. */
  readonly from: string;
  readonly to: string;
  /** Of the user namespace whose ids own what is there; undefined where they are the host's. */
  readonly maps: Maps | undefined;
  readonly cancel?: Cancel | undefined;
}

/**
 * Copies what is in a directory into another one, as it is on disk: owners, attributes, whiteouts, holes. Files with several
 * names become several files.
 */
export async function copyTree(host: Host, { from, to, maps, cancel }: TreeCopy): Promise<void> {
  throwIfCanceled(cancel, 'copying');
  const undo = new Undo();
  try {
    const inputs: Handle[] = [];
    for (const path of [from, to]) {
      const handle = await host.files.open(path, 'directory');
      undo.add(() => handle.close());
      inputs.push(handle);
    }
    const segment = copyTreeProgram({ mapped: maps !== undefined });
    await runProgram(host, { flags: flagsOf(maps), maps, segment, inputs }, { deadlineMs: streamMs, cancel });
  } finally {
    await undo.run();
  }
}

/** How long the removal of a tree may take: a large one on a slow disk. */
const removalMs = 600_000;

/** Removes trees, also those that belong to ids which only a user namespace has. */
export async function removeTrees(
  host: Host,
  directory: string,
  names: readonly string[],
  maps: Maps | undefined,
): Promise<void> {
  const handle: Handle = await host.files.open(directory, 'directory');
  try {
    const segment = removalProgram(names, { mapped: maps !== undefined });
    await runProgram(host, { flags: flagsOf(maps), maps, segment, inputs: [handle] }, { deadlineMs: removalMs });
  } finally {
    handle.close();
  }
}

/** Mounts layers as one, by the kernel or by their server, and lets go of them. Rejects with what this host has against it. */
export async function tryOverlay(
  host: Host,
  facts: Facts,
  layers: OverlayLayers,
  maps: Maps | undefined,
): Promise<void> {
  const plan = planTrial(layers, maps, facts);
  const deadlineMs = frameDeadlineMs;
  const undo = new Undo();
  const servers = new Undo();
  undo.add(() => servers.run());
  try {
    const request = { plan, options: { deadlineMs, facts }, sources: { servers }, handles: new Map<number, Handle>() };
    const { channel, progress } = await beginWalk(host, request, undo);
    const frame = await nextMilestone(channel, progress);
    if (frame === undefined) throw await died(host, channel, deadlineMs);
    if (frame.kind !== 'done') throw unexpected(frame, 'the end of a trial');
  } catch (error) {
    throw withReleaseErrors(error, await undo.run());
  }
  await undo.run();
}
