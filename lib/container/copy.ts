import { Readable } from 'node:stream';
import { RuntsError, specError } from '../errors.ts';
import { startFiles } from '../host/files.ts';
import type { Session } from '../host/host.ts';
import type { Prepared } from '../host/prepare.ts';
import { copyIn } from '../layers/copy-in.ts';
import { copyOut } from '../layers/copy-out.ts';
import { TreeReader } from '../layers/tree-reader.ts';
import { isMapped } from '../plan/keeper.ts';
import { normalizePath } from '../spec/paths.ts';
import { closed, issuesOf, show } from '../spec/shape.ts';
import type { Home } from './home.ts';

/** A container whose files are there: one that is made and has not ended. */
export interface Living {
  readonly name: string;
  readonly home: Home;
  readonly prepared: Pick<Prepared, 'spec'> & { readonly plan: Pick<Prepared['plan'], 'maps'> };
  readonly created: { readonly session: Pick<Session, 'pid' | 'process'> };
  /** Aborted when it is removed. */
  readonly leaving: AbortSignal;
}

/** What `copyIn` and `copyOut` take beside the places. */
export interface CopyOptions {
  /** Ends the copy, with ERR_CANCELED; what was copied before stays. */
  readonly signal?: AbortSignal | undefined;
}

/** Unpacks an archive into a directory of a container. */
export async function copyTo(
  living: Living,
  tar: AsyncIterable<Uint8Array>,
  target: string,
  options: CopyOptions,
): Promise<void> {
  const signal = either(living, options);
  mustBeArchive(tar);
  const directory = insideOf(target, '/target');
  const { maps } = living.prepared.plan;
  const doing = `copy to ${target} in container ${living.name}`;
  const work = startWork(living, { op: 'unpack', directory, signal });
  const { stream, done } = await work.catch((error: unknown) => {
    throw told(error, doing);
  });
  const isKnown = (kind: 'uids' | 'gids', id: number) => maps === undefined || isMapped(maps[kind], id);
  const request = {
    tar: bytesOf(tar),
    target: byteString(directory),
    isMapped: maps?.setgroups === 'deny' ? undefined : isKnown,
    signal,
  };
  await copyIn({ records: stream, done }, request).catch((error: unknown) => {
    throw told(error, doing);
  });
}

/** An archive of a file or a directory of a container; what is at the path itself is not followed where it is a link. */
export async function copyFrom(living: Living, source: string, options: CopyOptions): Promise<Readable> {
  const signal = either(living, options);
  const path = insideOf(source, '/source');
  const slash = path.lastIndexOf('/');
  const directory = path.slice(0, Math.max(0, slash));
  const doing = `copy ${source} of container ${living.name}`;
  let reader: TreeReader | undefined;
  try {
    reader = TreeReader.over(await startWork(living, { op: 'read_tree', directory, signal }), signal);
    const name = byteString(path.slice(slash + 1));
    const top = name === '' ? undefined : (await reader.list('')).find((entry) => entry.name === name);
    if (name !== '' && top === undefined) {
      throw new RuntsError('ERR_NOT_FOUND', `cannot ${doing}: there is no such file or directory`);
    }
    const kernel = kernelMounts(living.prepared);
    const above = directory === '' ? '/' : `/${directory}/`;
    const isEmpty = (at: string) => kernel.has(`${above}${Buffer.from(at, 'latin1').toString()}`);
    return Readable.from(closing(reader, copyOut(reader, { top, isEmpty }), doing), { objectMode: false });
  } catch (error) {
    await reader?.close();
    throw told(error, doing);
  }
}

/** Ends with the container, and with the caller's signal. */
function either({ leaving }: Living, options: CopyOptions): AbortSignal {
  const issues = issuesOf(options, optionsCheck);
  if (issues.length > 0) throw specError('cannot copy', issues);
  const { signal } = options;
  return signal === undefined ? leaving : AbortSignal.any([leaving, signal]);
}

const optionsCheck = closed(
  {
    signal: (value, path, report) => {
      if (!(value instanceof AbortSignal)) report(path, `must be an AbortSignal, not ${show(value)}`);
    },
  },
  'option',
);

/** An archive as it comes, and nothing else: what a caller hands us need not be what its type says. */
async function* bytesOf(tar: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const chunk of tar) {
    if (!(chunk instanceof Uint8Array)) {
      throw specError('cannot copy', [{ path: '/tar', message: `must give pieces of bytes, not ${show(chunk)}` }]);
    }
    yield chunk;
  }
}

function mustBeArchive(tar: unknown): void {
  const isIterable = typeof tar === 'object' && tar !== null && (Symbol.asyncIterator in tar || Symbol.iterator in tar);
  if (isIterable) return;
  throw specError('cannot copy', [{ path: '/tar', message: `must be a stream of bytes, not ${show(tar)}` }]);
}

/** File systems that hold nothing of the container's own: a copy of everything leaves out what is in them. */
function kernelMounts({ spec }: Pick<Prepared, 'spec'>): ReadonlySet<string> {
  const isData = (type: string | undefined) => type === undefined || ['bind', 'tmpfs', 'none'].includes(type);
  const mounts = (spec.mounts ?? []).filter(({ type, destination }) => destination === '/dev' || !isData(type));
  return new Set(mounts.map(({ destination }) => normalizePath(destination)));
}

async function* closing(
  reader: TreeReader,
  archive: AsyncIterable<Buffer>,
  doing: string,
): AsyncGenerator<Buffer, void, undefined> {
  try {
    yield* archive;
  } catch (error) {
    throw told(error, doing);
  } finally {
    await reader.close();
  }
}

function startWork(
  { name, home, created }: Living,
  work: { readonly op: 'unpack' | 'read_tree'; readonly directory: string; readonly signal: AbortSignal | undefined },
) {
  const { signal: cancel, ...rest } = work;
  const { host } = home;
  const opened = (): void => {
    if (host.processes.signal(created.session.process, 0)) return;
    throw new RuntsError('ERR_STATE', `container ${name} has ended`);
  };
  return startFiles(host, { ...rest, pid: created.session.pid, opened, cancel });
}

/** A path of the container without its first slash. */
function insideOf(path: string, at: string): string {
  const fault =
    typeof path !== 'string' || !path.startsWith('/')
      ? `must be an absolute path, not ${show(path)}`
      : path.includes('\0')
        ? 'must have no NUL in it'
        : undefined;
  if (fault !== undefined) throw specError('cannot copy', [{ path: at, message: fault }]);
  return normalizePath(path).slice(1);
}

const byteString = (text: string) => Buffer.from(text).toString('latin1');

/** What the init was refused, by what it was asked for. */
function told(error: unknown, doing: string): unknown {
  if (!RuntsError.is(error)) return error;
  const { failure } = error;
  if (failure === undefined) return error;
  const { op, errno, detail } = failure;
  const why = reasons[`${op} ${errno}`] ?? reasons[errno];
  if (why === undefined) return new RuntsError(error.code, `cannot ${doing}: ${error.message}`, { ...more(error) });
  const where = op === 'open_below' || detail === '' ? '' : ` (${JSON.stringify(`/${detail}`)})`;
  return new RuntsError(why.code, `cannot ${doing}: ${why.message}${where}`, { ...more(error) });
}

const more = (error: RuntsError) => ({
  cause: error,
  ...(error.failure !== undefined && { failure: error.failure }),
  ...(error.hint !== undefined && { hint: error.hint }),
});

const reasons: Readonly<
  Record<string, { readonly code: 'ERR_NOT_FOUND' | 'ERR_EXISTS' | 'ERR_STATE'; readonly message: string }>
> = {
  'open_below ENOENT': { code: 'ERR_NOT_FOUND', message: 'there is no such directory' },
  'open_below ENOTDIR': { code: 'ERR_NOT_FOUND', message: 'that is no directory' },
  'unpack EISDIR': { code: 'ERR_EXISTS', message: 'a directory is where something else would be put' },
  'unpack ENOTDIR': { code: 'ERR_EXISTS', message: 'something else is where a directory would be made' },
  'unpack ESTALE': { code: 'ERR_STATE', message: 'something else was put there meanwhile' },
  EROFS: { code: 'ERR_STATE', message: 'it is read-only there' },
};
